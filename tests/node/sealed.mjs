// The error of a sealed program that calls another host.
const refusal = await fetch("https://example.com/").catch((error) => error.cause.message);
console.log(JSON.stringify({ refusal, served: (await fetch("https://api.fal.ai/v1/meta")).status }));
