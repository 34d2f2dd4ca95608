// A receiver in the manner of ReferralLoop's page: it verifies the body that was
// parsed and is written again. Its secret is the first argument; its port is what
// it prints.
const crypto = require("node:crypto");
const http = require("node:http");

const secret = process.argv[2];

function isGenuine(event, signature) {
  const [scheme, digest = ""] = signature.split("=");
  const expected = crypto.createHmac("sha256", secret).update(JSON.stringify(event)).digest("hex");
  return scheme === "sha256" && digest.length === expected.length &&
    crypto.timingSafeEqual(Buffer.from(digest), Buffer.from(expected));
}

const server = http.createServer((req, res) => {
  const chunks = [];
  req.on("data", (chunk) => chunks.push(chunk));
  req.on("end", () => {
    let genuine = false;
    try {
      genuine = isGenuine(JSON.parse(Buffer.concat(chunks)), req.headers["x-webhook-signature"] ?? "");
    } catch {
      // What is not JSON is not genuine.
    }
    res.writeHead(genuine ? 200 : 401).end();
  });
});

server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.resume().on("end", () => process.exit());
