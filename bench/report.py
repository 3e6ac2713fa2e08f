"""The tables of a run: medians over its repetitions; ratios over all slices, each beside its neighbours."""
import statistics


class Samples:
    """The samples of one run, and the cells made of them."""

    def __init__(self, samples):
        self.samples = samples

    def of(self, row, scenario, key):
        """Value of each repetition."""
        return {s["repetition"]: s[key] for s in self.samples if (s["row"], s["scenario"]) == (row, scenario)}

    def rows(self, *scenarios):
        return list(dict.fromkeys(s["row"] for s in self.samples if s["scenario"] in scenarios))

    def median(self, row, scenario, key, scale=1.0, digits=1, unit=""):
        values = self.of(row, scenario, key)
        return f"{statistics.median(values.values()) * scale:,.{digits}f}{unit}" if values else "–"

    def ratios(self, row, scenario, reference, key="cost"):
        """`key` of the row divided by that of `reference`, of every slice in order of size."""
        samples = self.of(row, scenario, "beside").values()
        if row == reference:
            return [1.0 for _ in samples]
        return sorted(ratio for beside in samples for ratio in beside.get(reference, {}).get(key, ()))

    def ratio(self, row, scenario, reference, key="cost"):
        values = self.ratios(row, scenario, reference, key)
        return f"{statistics.median(values):.2f}" if values else "–"

    def spread(self, *of):
        """The median, and the lowest and highest slice."""
        values = self.ratios(*of)
        return f"{self.ratio(*of)} ({values[0]:.2f}–{values[-1]:.2f})" if values else "–"

    def idle(self, row):
        return next((f"{s['mib']:.1f}" for s in self.samples if (s["row"], s["scenario"]) == (row, "idle")), "–")


def markdown(heads, lines):
    yield "| | " + " | ".join(heads) + " |"
    yield "|---" * (len(heads) + 1) + "|"
    for line in lines:
        yield "| " + " | ".join(line) + " |"


def proxies(samples):
    def line(row):
        def cost(scenario, scale, digits):
            if row == "direct":
                return "–", "–"
            return samples.median(row, scenario, "cost", scale, digits), samples.ratio(row, scenario, "haproxy")

        return [row, *cost("http", 1, 1), samples.median(row, "http", "rate", 1, 0),
                samples.median(row, "http", "p50_ms", 1, 2), samples.median(row, "http", "p99_ms", 1, 2),
                *cost("bulk", 1e-6, 3), samples.median(row, "bulk", "rate"),
                samples.ratio(row, "bulk", "direct", "rate"), samples.median(row, "loose", "rate"),
                samples.ratio(row, "loose", "direct", "rate"), samples.idle(row)]

    heads = ["HTTP/1.1 CPU-µs/request", "÷ HAProxy", "requests/s", "p50 ms", "p99 ms", "TCP CPU-s/GiB", "÷ HAProxy",
             "Gbit/s", "÷ direct", "not pinned", "÷ direct", "idle MiB"]
    return markdown(heads, map(line, samples.rows("http", "bulk", "loose")))


def capture(samples):
    def line(row):
        proxied = row != "direct"
        return [row, samples.median(row, "take", "cost"), samples.ratio(row, "take", "direct"),
                samples.ratio(row, "aside", "direct"),
                samples.median(row, "connect", "cost") if proxied else "–",
                samples.ratio(row, "connect", "haproxy") if proxied else "–",
                samples.median(row, "connect", "rate", 1, 0),
                samples.median(row, "attach", "seconds", 1, 2)]

    heads = ["connect CPU-µs", "÷ direct", "bystander ÷ direct", "through: CPU-µs/connection", "÷ HAProxy",
             "connections/s", "1,000 attached s"]
    return markdown(heads, map(line, samples.rows("take", "aside", "connect", "attach")))


def datagrams(samples):
    def line(row):
        proxied = row != "direct"
        return [row, samples.median(row, "datagrams", "cost", 1, 2) if proxied else "–",
                samples.ratio(row, "datagrams", "nginx") if proxied else "–",
                samples.median(row, "datagrams", "rate", 1, 0),
                samples.median(row, "singles", "cost", 1, 2) if proxied else "–",
                samples.ratio(row, "singles", "nginx") if proxied else "–",
                samples.median(row, "singles", "rate", 1, 0), samples.median(row, "loss", "offered", 1, 0),
                samples.median(row, "loss", "lost", 100, 3, " %"), samples.median(row, "loss", "lost_direct", 100, 3, " %")]

    heads = ["CPU-µs/datagram", "÷ nginx", "datagrams/s", "one at a time: CPU-µs", "÷ nginx", "datagrams/s", "half of a full core/s", "lost", "lost direct"]
    return markdown(heads, map(line, samples.rows("datagrams", "singles", "loss")))


def aims(samples):
    """What the project promises of itself, beside what this run says."""
    ratio = samples.spread
    lines = [
        ("captured connect, eBPF ÷ uncaptured", ratio("meshd", "take", "direct"), "≤ 1.05"),
        ("captured connect, nft ÷ uncaptured", ratio("meshd-nft", "take", "direct"), "≤ 1.35"),
        ("one plain `REDIRECT` rule, same listener", ratio("haproxy-redirect", "take", "direct"), ""),
        ("TCP through meshd ÷ loopback, Gbit/s, not pinned", ratio("meshd", "loose", "direct", "rate"), "≥ 0.7"),
        ("TCP balanced by the kernel ÷ loopback, Gbit/s", ratio("meshd-connect", "bulk", "direct", "rate"), "≥ 0.97"),
        ("datagrams, CPU ÷ nginx without capture", ratio("meshd", "datagrams", "nginx"), "≤ 0.6"),
        ("the same, one datagram under way per socket", ratio("meshd", "singles", "nginx"), ""),
        ("datagrams lost at half rate", samples.median("meshd", "loss", "lost", 100, 3, " %"),
         "≤ 0.1 % + " + samples.median("meshd", "loss", "lost_direct", 100, 3, " %")),
        ("1,000 attached, eBPF", samples.median("meshd", "attach", "seconds", 1, 2, " s"), "≤ 2 s"),
        ("1,000 attached, nft", samples.median("meshd-nft", "attach", "seconds", 1, 2, " s"), "≤ 2 s"),
        ("HTTP/1.1, CPU ÷ HAProxy", ratio("meshd", "http", "haproxy"), "≤ 1"),
        ("HTTP/1.1, CPU ÷ nginx", ratio("meshd", "http", "nginx"), "≤ 1"),
    ]
    return markdown(["measured", "aim"], [line for line in lines if line[1] != "–"])


def tables(samples, versions):
    samples = Samples(samples)
    parts = [*aims(samples), "", *proxies(samples), "", *capture(samples), "", *datagrams(samples), "",
             *(f"- {name}: {version}" for name, version in versions.items() if version)]
    return "\n".join(parts)
