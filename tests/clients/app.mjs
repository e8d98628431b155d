// node app.mjs CHROMIUM ADDRESS SOUND BAD_SOUND FOLDER -> one line of JSON: what a visitor of the page meets.
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer from "puppeteer-core";

const [executablePath, address, sound, badSound, folder] = process.argv.slice(2);
const userDataDir = mkdtempSync(join(tmpdir(), "app-"));
const browser = await puppeteer.launch({
  executablePath, userDataDir, headless: true, protocolTimeout: 120000,
  args: ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--autoplay-policy=no-user-gesture-required", "--mute-audio"],
});
const errors = [], foreign = [], result = { errors, foreign };
const until = async (what, probe) => {
  for (const end = Date.now() + 60000; Date.now() < end; await new Promise((r) => setTimeout(r, 100))) {
    const found = await probe();
    if (found) return found;
  }
  throw new Error(`waited a minute for ${what}; the page says: ${await page.evaluate(() => document.body.innerText.slice(0, 600))}; errors: ${errors.join(" | ")}`);
};
const page = await browser.newPage();
try {
  page.on("console", (m) => { if (m.type() === "error") errors.push(m.text()); });
  page.on("pageerror", (e) => errors.push(String(e)));
  page.on("request", (r) => { if (!/^(data|blob|about):/.test(r.url()) && !r.url().startsWith(address)) foreign.push(r.url()); });
  const client = await browser.target().createCDPSession();
  await client.send("Browser.setDownloadBehavior", { behavior: "allow", downloadPath: folder });
  const shoot = (name) => page.screenshot({ path: join(folder, `${name}.png`) });
  const player = () => page.frames().find((f) => f !== page.mainFrame());
  const ask = (f, ...given) => player().evaluate(f, ...given);
  const words = () => page.evaluate(() => document.querySelector("#message p")?.innerText);
  const give = async (path) => {
    const clear = await page.$('#speech button[aria-label="Clear"], #speech button[title="Clear"]');
    if (clear) await clear.click();
    await (await until("a place to drop sound", () => page.$("#speech input[type=file]"))).uploadFile(path);
    await until("the sound", () => page.$('#speech button[aria-label="Clear"], #speech button[title="Clear"]'));
  };

  await page.setViewport({ width: 1280, height: 900 });
  await page.goto(address, { waitUntil: "load" });
  await until("the resting head", () => player()?.evaluate(() => window.player?.frames === 1).catch(() => false));
  await new Promise((r) => setTimeout(r, 1000));
  await shoot("app-start");
  await page.click("#animate");
  result.empty = await until("an answer", words);

  await give(sound);
  await page.click("#animate");
  await until("the talking head", () => player()?.evaluate(() => window.player?.duration > 0.5).catch(() => false));
  result.answer = await until("an answer", async () => (await page.$("#message p.good")) && words());
  result.started = await until("it to play by itself", () => ask(() => player.time > 0.05));
  await ask(() => player.pause());
  result.duration = await ask(() => player.duration);
  result.sought = await ask(() => { player.seek(0.4); return player.time; });
  result.moves = await ask(() => { const [a, b] = [player.verticesAt(0), player.verticesAt(0.4)]; return Math.max(...a.map((x, i) => Math.abs(x - b[i]))); });
  const clock = Date.now();
  await ask(() => { player.seek(0); return player.play(); });
  await new Promise((r) => setTimeout(r, 500));
  result.advanced = await ask(() => player.time);
  result.elapsed = (Date.now() - clock) / 1000;
  await ask(() => { player.pause(); player.seek(player.duration * 0.4); });
  await new Promise((r) => setTimeout(r, 500));
  await shoot("app-talking");

  await page.click("#make");
  const link = await until("the file", () => page.$("#files a[href]"));
  await link.click();
  const downloaded = () => readdirSync(folder).find((name) => name.endsWith(".glb"));
  result.file = await until("the download", downloaded);
  result.bytes = await until("its bytes", () => existsSync(join(folder, downloaded())) && statSync(join(folder, downloaded())).size);
  await shoot("app-download");

  result.errors = [...errors]; // before a file that gradio's own waveform rightly complains of
  await give(badSound);
  await page.click("#animate");
  result.refusal = await until("a refusal", async () => (await page.$("#message p.bad")) && words());
  await shoot("app-refusal");
  await page.setViewport({ width: 390, height: 844, deviceScaleFactor: 2 });
  await new Promise((r) => setTimeout(r, 500));
  await shoot("app-phone");
  result.overflow = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
} finally {
  await browser.close();
  rmSync(userDataDir, { recursive: true, force: true });
}
console.log(JSON.stringify(result));
