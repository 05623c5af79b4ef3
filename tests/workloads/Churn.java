// SPDX-License-Identifier: Apache-2.0
/*
 * Fifty threads that keep the compiler and the collector busy: each sorts, hashes and looks up the same
 * things again and again and compares with what came out the first time.  On port 7777 a line
 * "check" is answered by rounds done, mismatches, collections.
 */
import java.io.*;
import java.lang.management.*;
import java.net.*;
import java.util.*;
import java.util.concurrent.atomic.*;
import java.util.stream.*;
import java.util.zip.CRC32;

public class Churn {
	static final AtomicLong rounds = new AtomicLong(), wrong = new AtomicLong();

	static long work(int seed) {
		Random r = new Random(seed);
		Map<String, Integer> m = new HashMap<>();
		List<byte[]> garbage = new ArrayList<>();
		long[] v = r.longs(2000).toArray();
		Arrays.sort(v);
		for (int i = 0; i < 500; i++) {
			m.merge("k" + r.nextInt(100), i, (a, b) -> a * 31 + b);
			garbage.add(new byte[r.nextInt(2000)]);
		}
		CRC32 c = new CRC32();
		for (long x : v)
			c.update((int) (x ^ x >>> 17));
		double d = IntStream.range(1, 500).mapToDouble(i -> Math.sin(i) * Math.sqrt(i)).sum();
		return c.getValue() ^ m.hashCode() ^ garbage.stream().mapToInt(b -> b.length).sum()
			^ Double.doubleToLongBits(d);
	}

	static void run(int seed) {
		long first = work(seed);
		for (;;) {
			if (work(seed) != first)
				wrong.incrementAndGet();
			rounds.incrementAndGet();
			Thread.yield();
		}
	}

	public static void main(String[] args) throws Exception {
		for (int i = 0; i < 50; i++) {
			int seed = i;
			Thread t = new Thread(() -> run(seed), "worker" + i);
			t.setDaemon(true);
			t.setPriority(Thread.MIN_PRIORITY);
			t.start();
		}
		try (ServerSocket s = new ServerSocket(7777)) {
			for (;;) {
				try (Socket c = s.accept()) {
					long n = 0;
					BufferedReader in = new BufferedReader(new InputStreamReader(c.getInputStream()));
					in.readLine();
					for (GarbageCollectorMXBean b : ManagementFactory.getGarbageCollectorMXBeans())
						n += b.getCollectionCount();
					c.getOutputStream().write((rounds + " " + wrong + " " + n + "\n").getBytes());
				}
			}
		}
	}
}
