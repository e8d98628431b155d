// node gltf.mjs FILE EXPECTED.json -> one line of JSON: the Khronos validator's counts and three.js' deviation.
// EXPECTED.json: {fps, frames: {"0": [x, y, z, ...], ...}} in metres.
import { readFileSync } from "node:fs";
import validator from "gltf-validator";
import * as THREE from "three";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";

// what three.js expects of a browser
globalThis.self = globalThis;
globalThis.ProgressEvent = class extends Event {};
const [file, expectedFile] = process.argv.slice(2);
const bytes = new Uint8Array(readFileSync(file));
const report = await validator.validateBytes(bytes, { maxIssues: 100 });
const { numErrors, numWarnings, numInfos, numHints, messages } = report.issues;

const expected = JSON.parse(readFileSync(expectedFile, "utf8"));
const text = file.endsWith(".gltf");
const payload = text ? readFileSync(file, "utf8") : bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
const gltf = await new Promise((resolve, reject) => new GLTFLoader().parse(payload, "", resolve, reject));
let mesh = null;
gltf.scene.traverse((node) => { if (node.isMesh) mesh = node; });
const mixer = new THREE.AnimationMixer(gltf.scene);
const clip = gltf.animations.at(-1);
mixer.clipAction(clip).setLoop(THREE.LoopOnce).play();
mixer.existingAction(clip).clampWhenFinished = true;

let deviation = 0;
const point = new THREE.Vector3();
for (const [frame, vertices] of Object.entries(expected.frames)) {
  mixer.setTime(Number(frame) / expected.fps);
  gltf.scene.updateMatrixWorld(true);
  if (mesh.isSkinnedMesh) mesh.skeleton.update();
  for (let v = 0; v < vertices.length / 3; v++) {
    mesh.getVertexPosition(v, point).applyMatrix4(mesh.matrixWorld);
    for (const [k, axis] of ["x", "y", "z"].entries()) {
      deviation = Math.max(deviation, Math.abs(point[axis] - vertices[3 * v + k]));
    }
  }
}
console.log(JSON.stringify({
  issues: [numErrors, numWarnings, numInfos, numHints],
  messages: messages.slice(0, 5).map((m) => `${m.code} ${m.pointer} ${m.message}`),
  vertices: mesh.geometry.attributes.position.count,
  names: Object.keys(mesh.morphTargetDictionary),
  skinned: Boolean(mesh.isSkinnedMesh),
  deviation,
}));
