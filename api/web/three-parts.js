// The parts of three.js, meshoptimizer and three-mesh-bvh that the 3-D view uses; build.mjs bundles only these into
// vendor/three.js.
export {
  AmbientLight,
  BufferAttribute,
  BufferGeometry,
  CanvasTexture,
  DirectionalLight,
  DoubleSide,
  LinearFilter,
  LinearSRGBColorSpace,
  Mesh,
  MeshLambertMaterial,
  NearestFilter,
  PerspectiveCamera,
  Raycaster,
  Scene,
  Vector2,
  Vector3,
  WebGLRenderer,
} from "three";
export { MeshoptSimplifier } from "meshoptimizer/simplifier";
export { acceleratedRaycast, MeshBVH } from "three-mesh-bvh";
