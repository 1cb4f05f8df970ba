// Solves a challenge away from the page: looks for the number whose SHA-256, after salt and nonce, begins as asked.
// All that is hashed fits one block of 64 bytes, so that this is one round of the algorithm for each number.
"use strict";

const K = new Int32Array(64);
const START = new Int32Array(8);
(function () {
  // The constants are the first bits of the fractions of square and cube roots of the first primes (FIPS 180-4).
  const bits = (x) => ((x - Math.floor(x)) * 4294967296) | 0;
  let found = 0;
  for (let n = 2; found < 64; n++) {
    let prime = true;
    for (let d = 2; d * d <= n; d++) if (n % d === 0) prime = false;
    if (!prime) continue;
    if (found < 8) START[found] = bits(Math.sqrt(n));
    K[found++] = bits(Math.cbrt(n));
  }
})();

const W = new Int32Array(64);
const H = new Int32Array(8);

function hash(block) {
  for (let i = 0; i < 16; i++) W[i] = block[i];
  for (let i = 16; i < 64; i++) {
    const x = W[i - 15], y = W[i - 2];
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    W[i] = (W[i - 16] + s0 + W[i - 7] + s1) | 0;
  }
  let a = START[0], b = START[1], c = START[2], d = START[3], e = START[4], f = START[5], g = START[6], h = START[7];
  for (let i = 0; i < 64; i++) {
    const S1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (h + S1 + ((e & f) ^ (~e & g)) + K[i] + W[i]) | 0;
    const S0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (S0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g; g = f; f = e; e = (d + t1) | 0; d = c; c = b; b = a; a = (t1 + t2) | 0;
  }
  H[0] = START[0] + a; H[1] = START[1] + b; H[2] = START[2] + c; H[3] = START[3] + d;
  H[4] = START[4] + e; H[5] = START[5] + f; H[6] = START[6] + g; H[7] = START[7] + h;
}

function words(hex) {
  const found = [];
  for (let at = 0; at + 8 <= hex.length; at += 8) found.push(parseInt(hex.slice(at, at + 8), 16) | 0);
  return found;
}

function hex(numbers) {
  return Array.from(numbers, (one) => (one >>> 0).toString(16).padStart(8, "0")).join("");
}

self.onmessage = function (message) {
  const asked = message.data.parameters, wanted = words(asked.keyPrefix);
  const block = new Int32Array(16);
  block.set(words(asked.salt), 0);
  block.set(words(asked.nonce), 4);
  block[9] = 0x80000000 | 0;
  block[15] = 36 * 8;
  for (let counter = 0; counter <= 0xffffffff; counter++) {
    block[8] = counter | 0;
    hash(block);
    let same = true;
    for (let i = 0; same && i < wanted.length; i++) same = H[i] === wanted[i];
    if (same) {
      self.postMessage({ counter: counter, derivedKey: hex(H) });
      return;
    }
    if (counter % 20000 === 0) self.postMessage({ tried: counter });
  }
};
