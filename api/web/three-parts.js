// The parts of three.js and three-mesh-bvh that cortex.js uses; build.mjs bundles only these into vendor/three.js.
export {
  AmbientLight,
  BufferAttribute,
  BufferGeometry,
  DirectionalLight,
  Group,
  Mesh,
  MeshLambertMaterial,
  PerspectiveCamera,
  Raycaster,
  Scene,
  Vector2,
  Vector3,
  WebGLRenderer,
} from "three";
export { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";
export { acceleratedRaycast, MeshBVH } from "three-mesh-bvh";
