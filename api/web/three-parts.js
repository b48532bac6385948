// The parts of three.js and three-mesh-bvh that cortex.js uses; build.mjs bundles only these into vendor/three.js.
export {
  AmbientLight,
  BufferAttribute,
  BufferGeometry,
  DirectionalLight,
  LinearSRGBColorSpace,
  Mesh,
  MeshLambertMaterial,
  PerspectiveCamera,
  Raycaster,
  Scene,
  Vector2,
  WebGLRenderer,
} from "three";
export { acceleratedRaycast, MeshBVH } from "three-mesh-bvh";
