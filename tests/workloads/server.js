// SPDX-License-Identifier: Apache-2.0
// An HTTP server with worker threads and a child process.  GET /check lets each work once more.
const http = require("http"), crypto = require("crypto"), { fork, spawn } = require("child_process");
const { Worker, isMainThread, parentPort, workerData } = require("worker_threads");
const fs = require("fs"), zlib = require("zlib"), { promisify } = require("util");

const hash = (h) => crypto.createHash("sha256").update(h).digest();

if (!isMainThread) {
	let h = Buffer.from(String(workerData)), n = 0;
	const shared = new Int32Array(new SharedArrayBuffer(4));
	const step = () => { h = hash(h); n++; Atomics.add(shared, 0, 1); setTimeout(step, 1); };
	step();
	parentPort.on("message", () => parentPort.postMessage([n, h, shared[0]]));
} else if (process.argv[2] === "child") {
	let n = 0;
	process.on("message", (m) => process.send({ n: ++n, text: m.text.toUpperCase() }));
} else {
	const workers = [0, 1, 2, 3].map((i) => new Worker(__filename, { workerData: i }));
	const child = fork(__filename, ["child"]);
	const cat = spawn("cat", [], { stdio: ["pipe", "pipe", "inherit"] });
	const once = (from, event) => new Promise((go) => from.once(event, go));
	let ticks = 0, asked = 0;
	setInterval(() => ticks++, 5);
	fs.watch("/tmp");

	const check = async () => {
		let total = 0;
		for (const [i, w] of workers.entries()) {
			w.postMessage("now");
			const [n, h, shared] = await once(w, "message");
			let want = Buffer.from(String(i));
			for (let k = 0; k < n; k++) want = hash(want);
			if (!want.equals(Buffer.from(h)) || shared !== n) throw new Error("worker " + i);
			total += n;
		}
		child.send({ text: "abc" });
		const answer = await once(child, "message");
		if (answer.text !== "ABC") throw new Error("child");
		cat.stdin.write("line\n");
		if (String(await once(cat.stdout, "data")) !== "line\n") throw new Error("cat");
		const packed = await promisify(zlib.gzip)(Buffer.alloc(100000, "x")); // libuv's own threads
		if ((await promisify(zlib.gunzip)(packed)).length !== 100000) throw new Error("zlib");
		const t = ticks;
		await new Promise((go) => setTimeout(go, 30));
		if (ticks === t) throw new Error("timers");
		return `${total} ${answer.n}`;
	};
	http.createServer((req, res) => {
		asked++;
		if (req.url !== "/check") return res.end(`${asked}\n`);
		check().then((s) => res.end(s + "\n"), (e) => { res.statusCode = 500; res.end(e.message + "\n"); });
	}).listen(8000, "0.0.0.0");
}
