// What the tests of clients for Node share.

const { ROLECALL_URL: url, ROLECALL_KEY: key, VENDOR_URL: vendor } = process.env;
export { key, url };

// One of each protocol towards the vendor: the same as the client's, and another.
export const models = ["openai/m", "anthropic/m"];
export const responsesModels = ["responses/m", "anthropic/m"];

async function counts() {
  return (await fetch(`${vendor}/counts`)).json();
}

export async function requestsFor(text) {
  const { requests } = await counts();
  return Object.entries(requests).reduce((sum, [said, count]) => sum + (said.includes(text) ? count : 0), 0);
}

/** A client that leaves ends the vendor's answer. */
export async function stopsTheVendor(action) {
  const before = (await counts()).closed;
  await action();
  for (let tries = 0; tries < 100; tries++) {
    if ((await counts()).closed > before) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("the vendor goes on");
}

export async function run(client, tests, models) {
  for (const model of models) {
    for (const [name, test] of Object.entries(tests)) {
      await test(model);
      console.log(`ok  ${client}, ${model}: ${name}`);
    }
  }
}
