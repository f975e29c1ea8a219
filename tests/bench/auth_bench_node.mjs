// A webhook as a Node program would be written from docs/webhook.md: fastify and ethers. For auth_bench.py to compare with.
import { Contract, JsonRpcProvider } from "ethers";
import Fastify from "fastify";

const tuple = "tuple(address,bytes32,address,bytes32,bytes32,bytes32,bytes32,string,string[])";
const provider = new JsonRpcProvider(process.env.ETH_RPC_URL);
const address = process.env.KMS_CONTRACT_ADDR;
const contract = new Contract(address, [
  `function isAppAllowed(${tuple}) view returns (bool, string)`,
  `function isKmsAllowed(${tuple}) view returns (bool, string)`,
  "function gatewayAppId() view returns (string)",
  "function appImplementation() view returns (address)",
], provider);

const hex = (digits) => ({ type: "string", maxLength: digits + 2, pattern: "^(0x)?[0-9a-fA-F]*$" });
const schema = {
  body: {
    type: "object",
    required: ["mrAggregated", "osImageHash", "appId", "composeHash", "instanceId", "deviceId"],
    properties: {
      mrAggregated: hex(64), osImageHash: hex(64), appId: hex(40), composeHash: hex(64), instanceId: hex(40),
      deviceId: hex(64), mrSystem: hex(64), tcbStatus: { type: "string", maxLength: 128 },
      advisoryIds: { type: "array", maxItems: 128, items: { type: "string", maxLength: 256 } },
    },
  },
};

const padded = (text, digits) => "0x" + text.replace(/^0x/, "").padStart(digits, "0");

function route(name) {
  return async (request) => {
    const body = request.body;
    try {
      const [isAllowed, reason] = await contract[name]([
        padded(body.appId, 40), padded(body.composeHash, 64), padded(body.instanceId, 40), padded(body.deviceId, 64),
        padded(body.mrAggregated, 64), padded(body.mrSystem ?? "", 64), padded(body.osImageHash, 64),
        body.tcbStatus ?? "", body.advisoryIds ?? [],
      ]);
      return { isAllowed, reason, gatewayAppId: await contract.gatewayAppId() };
    } catch {
      return { isAllowed: false, reason: "authorization backend unavailable", gatewayAppId: "" };
    }
  };
}

const server = Fastify({ logger: true, bodyLimit: 1024 * 1024 });
server.get("/", async () => {
  const [network, gatewayAppId, appImplementation] = await Promise.all([
    provider.getNetwork(), contract.gatewayAppId(), contract.appImplementation(),
  ]);
  return { status: "ok", kmsContractAddr: address, gatewayAppId, chainId: Number(network.chainId), appImplementation };
});
server.post("/bootAuth/app", { schema }, route("isAppAllowed"));
server.post("/bootAuth/kms", { schema }, route("isKmsAllowed"));
await server.listen({ host: "127.0.0.1", port: Number(process.env.PORT) });
