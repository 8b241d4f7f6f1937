// SPDX-License-Identifier: Apache-2.0
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Map;

/** Leaves arguments out before others that come by place: prints them. test_generate.py makes the client, and runs this. */
public final class CallGaps implements Gaps.Transport {
    @Override
    public Object call(String method, List<Object> args, Map<String, Object> kwargs) {
        args.replaceAll(one -> one instanceof byte[] ? Arrays.toString((byte[]) one) : one);
        throw new IllegalStateException(args.toString());
    }

    @Override
    public Iterator<?> stream(String method, List<Object> args, Map<String, Object> kwargs) {
        throw new IllegalStateException(args.toString());
    }

    @Override
    public void create(Map<String, Object> keys) {
    }

    private static void show(Runnable run) {
        try {
            run.run();
        } catch (IllegalStateException | IllegalArgumentException error) {
            System.out.println(error.getMessage());
        }
    }

    public static void main(String[] args) {
        Gaps gaps = new Gaps(new CallGaps());
        Gaps.GapsNumberOptions number = new Gaps.GapsNumberOptions();
        Gaps.GapsValuesOptions values = new Gaps.GapsValuesOptions();
        Gaps.GapsUnshownOptions unshown = new Gaps.GapsUnshownOptions();
        number.rest = values.rest = unshown.rest = Arrays.asList(1L, 2L);
        show(() -> gaps.number(5, number));
        show(() -> gaps.values(values));
        show(() -> gaps.unshown(unshown));
    }
}
