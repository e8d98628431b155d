// node osc.mjs FRAMES -> prints its UDP port, then one line of JSON with every frame's values as osc-min reads them.
import dgram from "node:dgram";
import { fromBuffer } from "osc-min";

const wanted = Number(process.argv[2]);
const frames = [{}];
let largest = 0;
const socket = dgram.createSocket("udp4");
const unpack = (packet) => (packet.oscType === "bundle" ? packet.elements.flatMap(unpack) : [packet]);
socket.on("message", (data) => {
  largest = Math.max(largest, data.length);
  for (const { address, args } of unpack(fromBuffer(data))) {
    if (address === "/VMC/Ext/Blend/Val") frames.at(-1)[args[0].value] = args[1].value;
    if (address === "/VMC/Ext/Blend/Apply") frames.push({});
  }
  if (frames.length > wanted) {
    console.log(JSON.stringify({ frames: frames.slice(0, wanted), largest }));
    socket.close();
  }
});
socket.bind(0, "127.0.0.1", () => console.log(socket.address().port));
setTimeout(() => { console.log(JSON.stringify({ frames, largest })); process.exit(1); }, 20000).unref();
