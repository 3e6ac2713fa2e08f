"""The tables of a run: medians over its repetitions, ratios taken within each repetition."""
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

    def ratio(self, row, scenario, reference, key="cost", of=None, digits=2):
        """`key` of the row divided by that of `reference` (in the load `of`, where it is another)."""
        own, other = self.of(row, scenario, key), self.of(reference, of or scenario, key)
        both = [own[r] / other[r] for r in own if other.get(r)]
        return f"{statistics.median(both):.{digits}f}" if both else "–"

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
                samples.ratio(row, "bulk", "direct", "rate"), samples.idle(row)]

    heads = ["HTTP/1.1 CPU-µs/request", "÷ HAProxy", "requests/s", "p50 ms", "p99 ms", "TCP CPU-s/GiB", "÷ HAProxy",
             "Gbit/s", "÷ direct", "idle MiB"]
    return markdown(heads, map(line, samples.rows("http", "bulk")))


def capture(samples):
    def line(row):
        proxied = row != "direct"
        return [row, samples.median(row, "take", "cost"), samples.ratio(row, "take", "direct"),
                samples.ratio(row, "aside", "direct", of="take"),
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
                samples.median(row, "datagrams", "rate", 1, 0), samples.median(row, "loss", "offered", 1, 0),
                samples.median(row, "loss", "lost", 100, 3, " %"), samples.median(row, "loss", "lost_direct", 100, 3, " %")]

    heads = ["CPU-µs/datagram", "÷ nginx", "datagrams/s", "half of a full core/s", "lost", "lost direct"]
    return markdown(heads, map(line, samples.rows("datagrams", "loss")))


def tables(samples, versions):
    samples = Samples(samples)
    parts = [*proxies(samples), "", *capture(samples), "", *datagrams(samples), "",
             *(f"- {name}: {version}" for name, version in versions.items() if version)]
    return "\n".join(parts)
