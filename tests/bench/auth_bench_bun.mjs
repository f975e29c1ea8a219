// A webhook as a Bun program would be written from docs/webhook.md: hono, zod and viem. For auth_bench.py to compare with.
import { Hono } from "hono";
import { createPublicClient, http, parseAbi } from "viem";
import { z } from "zod";

const abi = parseAbi([
  "struct BootInfo { address appId; bytes32 composeHash; address instanceId; bytes32 deviceId; bytes32 mrAggregated; bytes32 mrSystem; bytes32 osImageHash; string tcbStatus; string[] advisoryIds; }",
  "function isAppAllowed(BootInfo info) view returns (bool, string)",
  "function isKmsAllowed(BootInfo info) view returns (bool, string)",
  "function gatewayAppId() view returns (string)",
  "function appImplementation() view returns (address)",
]);
const url = process.env.ETH_RPC_URL;
const address = process.env.KMS_CONTRACT_ADDR;
const wantedChain = process.env.ETH_CHAIN_ID ? Number(process.env.ETH_CHAIN_ID) : undefined;
const client = createPublicClient({ transport: http(url) });

const hex = (digits) => z.string().max(digits + 2).regex(/^(0x)?[0-9a-fA-F]*$/);
const Request = z.object({
  mrAggregated: hex(64),
  osImageHash: hex(64),
  appId: hex(40),
  composeHash: hex(64),
  instanceId: hex(40),
  deviceId: hex(64),
  mrSystem: hex(64).optional().default(""),
  tcbStatus: z.string().max(128).optional().default(""),
  advisoryIds: z.array(z.string().max(256)).max(128).optional().default([]),
});

const padded = (text, digits) => "0x" + text.replace(/^0x/, "").padStart(digits, "0");

async function decide(functionName, body) {
  const info = {
    appId: padded(body.appId, 40),
    composeHash: padded(body.composeHash, 64),
    instanceId: padded(body.instanceId, 40),
    deviceId: padded(body.deviceId, 64),
    mrAggregated: padded(body.mrAggregated, 64),
    mrSystem: padded(body.mrSystem, 64),
    osImageHash: padded(body.osImageHash, 64),
    tcbStatus: body.tcbStatus,
    advisoryIds: body.advisoryIds,
  };
  const chainId = await client.getChainId();
  if (wantedChain !== undefined && chainId !== wantedChain) throw new Error("wrong chain");
  const blockNumber = await client.getBlockNumber();
  const [isAllowed, reason] = await client.readContract({ address, abi, functionName, args: [info], blockNumber });
  const gatewayAppId = await client.readContract({ address, abi, functionName: "gatewayAppId", blockNumber });
  return { isAllowed, reason, gatewayAppId };
}

function route(functionName) {
  return async (context) => {
    const parsed = Request.safeParse(await context.req.json());
    if (!parsed.success)
      return context.json({ isAllowed: false, reason: "invalid authorization request", gatewayAppId: "" }, 400);
    try {
      return context.json(await decide(functionName, parsed.data));
    } catch {
      return context.json({ isAllowed: false, gatewayAppId: "", reason: "authorization backend unavailable" });
    }
  };
}

const app = new Hono();
app.get("/", async (context) => {
  const [chainId, gatewayAppId, appImplementation] = await Promise.all([
    client.getChainId(),
    client.readContract({ address, abi, functionName: "gatewayAppId" }),
    client.readContract({ address, abi, functionName: "appImplementation" }),
  ]);
  return context.json({ status: "ok", kmsContractAddr: address, gatewayAppId, chainId, appImplementation });
});
app.post("/bootAuth/app", route("isAppAllowed"));
app.post("/bootAuth/kms", route("isKmsAllowed"));

export default { hostname: "127.0.0.1", port: Number(process.env.PORT), fetch: app.fetch };
