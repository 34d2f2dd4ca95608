// A receiver on Express as ReferralLoop's page suggests one: it takes the parsed
// body apart, answers at once, and verifies the signature over the body as
// JSON.stringify writes it again. Its secret is the first argument; its port is
// what it prints.
const crypto = require("node:crypto");
const express = require("express");

const secret = process.argv[2];

function isGenuine(event, signature) {
  const [scheme, digest = ""] = signature.split("=");
  const expected = crypto.createHmac("sha256", secret).update(JSON.stringify(event)).digest("hex");
  return scheme === "sha256" && digest.length === expected.length &&
    crypto.timingSafeEqual(Buffer.from(digest), Buffer.from(expected));
}

const app = express();
app.use(express.json());

app.post("/webhooks/referralloop", (req, res) => {
  const { event_type, waitlist_id, data, timestamp } = req.body ?? {};
  if (!isGenuine(req.body ?? null, req.get("x-webhook-signature") ?? "")) {
    return res.status(401).json({ received: false });
  }
  if (!event_type || !waitlist_id || !data || !timestamp) {
    return res.status(422).json({ received: false });
  }
  res.status(200).json({ received: true });
});

const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.resume().on("end", () => process.exit());
