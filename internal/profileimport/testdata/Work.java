import java.util.concurrent.locks.LockSupport;

/** Work spins in two methods, three times as long in one, waits for a monitor and parks. */
public class Work {
    static final Object monitor = new Object();
    static volatile long sink;

    static void spin(long ms) {
        long end = System.nanoTime() + ms * 1_000_000;
        while (System.nanoTime() < end) {
            for (int i = 0; i < 1000; i++) sink += i * sink;
        }
    }
    static void most(long ms) { spin(3 * ms); }
    static void some(long ms) { spin(ms); }

    public static void main(String[] args) throws Exception {
        Thread holder = new Thread(() -> {
            synchronized (monitor) { LockSupport.parkNanos(60_000_000); }
        });
        holder.start();
        Thread.sleep(20);
        synchronized (monitor) { sink++; }
        holder.join();
        byte[][] keep = new byte[64][];
        for (int i = 0; i < 10; i++) {
            most(30);
            some(30);
            for (int j = 0; j < 64; j++) keep[j] = new byte[200_000];
        }
    }
}
