// What a sealed program is told when it calls somebody else.
const told = await fetch("https://example.com/").catch((error) => error.cause.message);
console.log(JSON.stringify({ told, served: (await fetch("https://api.fal.ai/v1/meta")).status }));
