//! The text that Prometheus reads, version 0.0.4.
//!
//! Law: a family's HELP and TYPE come once, before its samples.

use engine::metrics::Durations;
use std::fmt::{Display, Write};

/// The media type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The text so far.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

impl Exposition {
    /// A number that only rises, but for a restart. Its name ends in `_total`.
    pub fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "counter", help);
        self.sample(name, &[], value);
    }

    /// A number that rises and falls.
    pub fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    /// 1 or 0.
    pub fn flag(&mut self, name: &str, help: &str, is_set: bool) {
        self.gauge(name, help, u8::from(is_set));
    }

    /// A number for each value of one label.
    pub fn by<V: Display>(&mut self, name: &str, kind: &str, help: &str, label: &str, values: &[(&str, V)]) {
        self.family(name, kind, help);
        for (of, value) in values {
            self.sample(name, &[(label, of)], value);
        }
    }

    pub fn histogram(&mut self, name: &str, help: &str, durations: &Durations) {
        self.family(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        for (bound_s, count) in &durations.at_most {
            self.sample(&bucket, &[("le", &bound_s.to_string())], count);
        }
        self.sample(&bucket, &[("le", "+Inf")], durations.count);
        self.sample(&format!("{name}_sum"), &[], durations.sum_s);
        self.sample(&format!("{name}_count"), &[], durations.count);
    }

    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String does not fail.
        let _ = writeln!(self.text, "# HELP {name} {}", escaped(help, false));
        let _ = writeln!(self.text, "# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        for (i, (label, of)) in labels.iter().enumerate() {
            let _ = write!(self.text, "{}{label}=\"{}\"", if i == 0 { '{' } else { ',' }, escaped(of, true));
        }
        let _ = writeln!(self.text, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

fn escaped(text: &str, is_quoted: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if is_quoted { text.replace('"', "\\\"") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_as_prometheus_reads_it() {
        let mut told = Exposition::default();
        told.counter("a_total", "How many \\ a.\nMore.", 3);
        told.flag("b", "Whether.", true);
        told.by("c", "gauge", "By kind.", "kind", &[("x\"y", 1.5), ("z", 0.0)]);
        let durations = Durations { at_most: vec![(0.001, 1), (1.0, 3)], count: 4, sum_s: 6.25 };
        told.histogram("d_seconds", "How long.", &durations);
        let expected = "\
# HELP a_total How many \\\\ a.\\nMore.
# TYPE a_total counter
a_total 3
# HELP b Whether.
# TYPE b gauge
b 1
# HELP c By kind.
# TYPE c gauge
c{kind=\"x\\\"y\"} 1.5
c{kind=\"z\"} 0
# HELP d_seconds How long.
# TYPE d_seconds histogram
d_seconds_bucket{le=\"0.001\"} 1
d_seconds_bucket{le=\"1\"} 3
d_seconds_bucket{le=\"+Inf\"} 4
d_seconds_sum 6.25
d_seconds_count 4
";
        assert_eq!(told.into_text(), expected);
    }
}
