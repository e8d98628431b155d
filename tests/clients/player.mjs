// node player.mjs CHROMIUM PAGE EXPECTED.json SCREENSHOT_FOLDER -> one line of JSON: what a real browser made of the page.
// EXPECTED.json: {fps, frames: {"0": [x, y, z, ...], ...}} in the page's own unit.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import puppeteer from "puppeteer-core";

const [executablePath, page_, expectedFile, shots] = process.argv.slice(2);
const expected = JSON.parse(readFileSync(expectedFile, "utf8"));
const userDataDir = mkdtempSync(join(tmpdir(), "player-"));
const browser = await puppeteer.launch({
  executablePath, userDataDir, headless: true,
  args: ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--autoplay-policy=no-user-gesture-required", "--mute-audio"],
});
const errors = [], requests = [];
let result;
try {
  const page = await browser.newPage();
  await page.setViewport({ width: 900, height: 800 });
  page.on("console", (m) => { if (m.type() === "error" || (m.type() === "warn" && !m.text().includes("GPU stall"))) errors.push(m.text()); });
  page.on("pageerror", (e) => errors.push(String(e)));
  page.on("request", (r) => { if (!/^(file|data|blob):/.test(r.url())) requests.push(r.url()); });
  await page.goto(pathToFileURL(page_).href, { waitUntil: "load" });
  await page.waitForFunction("window.player !== undefined");

  let deviation = 0;
  for (const [frame, vertices] of Object.entries(expected.frames)) {
    const found = await page.evaluate((t) => { player.seek(t); return Array.from(player.verticesAt(t)); }, Number(frame) / expected.fps);
    found.forEach((x, i) => { deviation = Math.max(deviation, Math.abs(x - vertices[i])); });
  }
  const halfway = await page.evaluate((t) => { player.seek(t); return player.time; }, expected.middle);
  await page.evaluate(() => player.seek(0));
  const started = Date.now();
  await page.evaluate(() => player.play());
  await new Promise((resolve) => setTimeout(resolve, 600));
  const [advanced, playing] = await page.evaluate(() => [player.time, player.playing()]);
  const elapsed = (Date.now() - started) / 1000;
  await page.evaluate(() => player.pause());

  const shoot = async (name, action) => {
    await page.evaluate(action, expected.middle);
    await page.evaluate(() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r))));
    const picture = Buffer.from(await page.screenshot());
    writeFileSync(join(shots, `${name}.png`), picture);
    return picture.toString("base64");
  };
  const rest = await shoot("start", () => player.seek(0));
  const middle = await shoot("middle", (t) => player.seek(t));
  await page.keyboard.press("w");
  const wire = await shoot("wireframe", () => {});
  await page.keyboard.press("w");
  await page.keyboard.press("ArrowRight");
  const stepped = await page.evaluate(() => player.time);
  await page.setViewport({ width: 390, height: 780, deviceScaleFactor: 2 });
  await shoot("phone", (t) => player.seek(t));
  result = {
    errors, requests, deviation, halfway, advanced, elapsed, playing, stepped,
    takes: await page.evaluate(() => player.takes), duration: await page.evaluate(() => player.duration),
    differs: { motion: rest !== middle, wireframe: middle !== wire },
    overflow: await page.evaluate(() => document.documentElement.scrollWidth > innerWidth),
    text: await page.evaluate(() => document.body.innerText.slice(0, 400)),
  };
} finally {
  await browser.close();
  rmSync(userDataDir, { recursive: true, force: true });
}
console.log(JSON.stringify(result));
