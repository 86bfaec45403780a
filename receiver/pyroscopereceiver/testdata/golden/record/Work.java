import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.LongSupplier;
import jdk.jfr.Event;
import jdk.jfr.Name;
import jdk.jfr.Recording;
import jdk.jfr.SettingControl;
import jdk.jfr.SettingDefinition;
import jdk.jfr.StackTrace;

/** Work records what it does in the way that its first argument names: java Work.java mode folder. */
public class Work {
    static final Object monitor = new Object();
    static final ReentrantLock lock = new ReentrantLock();
    static volatile long sink;
    static volatile Object kept;

    /** Sample is what async-profiler writes of threads by the clock on the wall. */
    @Name("profiler.WallClockSample") @StackTrace(true)
    static class Sample extends Event {
        @Name("samples") int samples;
        @Name("contextId") long contextId;
        @Name("spanId") long spanId;

        @SettingDefinition @Name("event") boolean event(Mode m) { return true; }
    }

    /** Mode is a setting with a name and value as async-profiler has. */
    public static class Mode extends SettingControl {
        private String value = "cpu";
        public String combine(Set<String> values) { return values.iterator().next(); }
        public void setValue(String v) { value = v; }
        public String getValue() { return value; }
    }

    static void spin(long ms) {
        LongSupplier step = () -> sink * 31 + 7;
        for (long end = System.nanoTime() + ms * 1_000_000; System.nanoTime() < end;) {
            for (int i = 0; i < 1000; i++) sink = step.getAsLong();
        }
    }

    static void text(long ms) {
        for (long end = System.nanoTime() + ms * 1_000_000; System.nanoTime() < end;) {
            List<String> list = new ArrayList<>();
            for (int i = 0; i < 500; i++) list.add("entry " + (i * 7919 % 500));
            list.sort((a, b) -> b.compareTo(a));
            kept = list;
        }
    }

    static void deep(int n, long ms) { if (n == 0) spin(ms); else deep(n - 1, ms); }

    static void allocate() {
        for (int i = 0; i < 300; i++) {
            kept = new byte[2000 + i];
            if (i % 10 == 0) kept = new long[1 << 18];
        }
        text(100);
    }

    static void contend() throws Exception {
        Thread[] threads = new Thread[4];
        for (int i = 0; i < threads.length; i++) {
            threads[i] = new Thread(() -> {
                for (int j = 0; j < 8; j++) {
                    synchronized (monitor) { spin(3); }
                    lock.lock();
                    try { spin(2); } finally { lock.unlock(); }
                }
            }, "worker-" + i);
            threads[i].start();
        }
        for (Thread t : threads) t.join();
    }

    static void sample(int samples, long context, long span) {
        Sample s = new Sample();
        s.samples = samples;
        s.contextId = context;
        s.spanId = span;
        s.commit();
    }

    static void request(int i) {
        sample(1 + i % 3, i % 4, i % 2 == 0 ? 0 : 255 + i);
        if (i % 5 > 0) request(i - 1);
    }

    // The message LabelsSnapshot: contexts (1) are maps of labels (1) from numbers to
    // numbers of strings (2).
    static void varint(ByteArrayOutputStream b, long n) {
        for (; n > 127; n >>= 7) b.write((int) (n & 127 | 128));
        b.write((int) n);
    }
    static byte[] field(int number, byte[] data) {
        ByteArrayOutputStream b = new ByteArrayOutputStream();
        varint(b, number << 3 | 2);
        varint(b, data.length);
        b.writeBytes(data);
        return b.toByteArray();
    }
    static byte[] entry(long key, byte[] value) {
        ByteArrayOutputStream b = new ByteArrayOutputStream();
        b.write(8);
        varint(b, key);
        b.writeBytes(value);
        return b.toByteArray();
    }
    static byte[] number(long value) {
        ByteArrayOutputStream b = new ByteArrayOutputStream();
        b.write(16);
        varint(b, value);
        return b.toByteArray();
    }
    static byte[] snapshot() {
        ByteArrayOutputStream b = new ByteArrayOutputStream();
        String[] strings = {"", "route", "GET /a b", "GET /c", "thread.group", "workers"};
        for (int i = 1; i < strings.length; i++) {
            b.writeBytes(field(2, entry(i, field(2, strings[i].getBytes(StandardCharsets.UTF_8)))));
        }
        long[][] contexts = {{}, {1, 2}, {1, 3, 4, 5}};
        for (int i = 1; i < contexts.length; i++) {
            ByteArrayOutputStream c = new ByteArrayOutputStream();
            for (int j = 0; j < contexts[i].length; j += 2) c.writeBytes(field(1, entry(contexts[i][j], number(contexts[i][j + 1]))));
            b.writeBytes(field(1, entry(i, field(2, c.toByteArray()))));
        }
        return b.toByteArray();
    }

    public static void main(String[] args) throws Exception {
        String mode = args[0];
        Path out = Path.of(args[1], "java-" + mode + ".jfr");
        try (Recording r = new Recording()) {
            switch (mode) {
                case "cpu", "chunks" -> r.enable("jdk.ExecutionSample").withPeriod(Duration.ofMillis(10));
                case "alloc" -> r.enable("jdk.ObjectAllocationSample").withStackTrace();
                case "tlab" -> {
                    r.enable("jdk.ObjectAllocationInNewTLAB").withStackTrace();
                    r.enable("jdk.ObjectAllocationOutsideTLAB").withStackTrace();
                }
                case "lock" -> r.enable("jdk.JavaMonitorEnter").withStackTrace().withoutThreshold();
                case "park" -> r.enable("jdk.ThreadPark").withStackTrace().withoutThreshold();
                case "wall" -> {
                    r.enable("jdk.ActiveSetting");
                    r.enable("profiler.WallClockSample").withStackTrace().with("event", "wall");
                }
                default -> throw new IllegalArgumentException(mode);
            }
            r.start();
            switch (mode) {
                case "cpu" -> { spin(200); text(300); deep(60, 200); }
                case "chunks" -> {
                    spin(200);
                    Path first = Path.of(args[1], "first.jfr"); // begins another chunk
                    r.dump(first);
                    Files.delete(first);
                    text(200);
                }
                case "alloc", "tlab" -> allocate();
                case "wall" -> { for (int i = 0; i < 40; i++) request(i); }
                default -> contend();
            }
            r.stop();
            r.dump(out);
        }
        if (mode.equals("wall")) Files.write(Path.of(args[1], "java-wall.labels"), snapshot());
    }
}
