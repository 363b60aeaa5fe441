// A device that sends a reading a second: node device.mjs ws://HOST:PORT/ws/device
const hub = new WebSocket(process.argv[2], "hub.v1.json");
const session = crypto.randomUUID().replaceAll("-", "");
const send = (message) => hub.send(JSON.stringify(message));
let seq = 0;
const read = () => send({ type: "data", seq: ++seq, values: { temp: 20 + Math.sin(seq / 10) } });
hub.onopen = () => send({ type: "hello", key: process.env.HUB_KEY, session });
hub.onmessage = ({ data }) => {
  console.log(data);
  if (["welcome", "ack"].includes(JSON.parse(data).type)) setTimeout(read, 1000);
};
hub.onclose = ({ code, reason }) => console.log("closed:", code, reason);
