//! stress-ng: processors and memory kept busy, with what was computed verified.

use xenrt::prelude::*;

use super::batch::carry_out;
use super::{Figure, Workload, not_understood};

/// Processors and memory kept busy with stress-ng, which verifies what it computes.
#[derive(Debug, Clone)]
pub struct StressNg {
    cpus: u32,
    memory: Memory,
    seconds: u32,
}

impl StressNg {
    /// On so many processors; 0 is as many as there are. No memory, and 10 s, unless set.
    pub fn cpus(cpus: u32) -> Self {
        Self { cpus, memory: Memory::default(), seconds: 10 }
    }

    /// Keeps this much memory busy besides.
    #[must_use]
    pub fn memory(mut self, memory: Memory) -> Self {
        self.memory = memory;
        self
    }

    /// Sets how long it runs.
    #[must_use]
    pub fn seconds(mut self, seconds: u32) -> Self {
        self.seconds = seconds;
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new("stress-ng")
            .args(["--metrics-brief", "--verify", "--cpu"])
            .arg(self.cpus.to_string())
            .args(["--timeout".into(), format!("{}s", self.seconds)])
            .deadline(Duration::from_secs(u64::from(self.seconds) + 180));
        if self.memory > Memory::default() {
            let bytes = self.memory.as_bytes().to_string();
            command = command.args(["--vm", "1", "--vm-bytes", &bytes]);
        }
        command
    }
}

#[async_trait]
impl Workload for StressNg {
    fn name(&self) -> &'static str {
        "stress-ng"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["stress-ng"]
    }

    async fn run(&self, shell: &dyn Shell) -> Result<Vec<Figure>> {
        let said = carry_out(shell, &self.command()).await?;
        let text = format!("{}{}", said.out, said.err);
        // stress-ng(1), "EXIT STATUS": 2 is a stressor that failed, which --verify makes of a wrong
        // result.
        let wrong = text.lines().find(|line| line.contains("fail:"));
        if let Some(wrong) = wrong {
            return Err(TestError::product(format!("stress-ng found {:?}", wrong.trim())));
        }
        if !said.status.success() {
            let message = format!("stress-ng ended with {}: {}", said.status, text.trim());
            return Err(TestError::infrastructure(message));
        }
        let figures = figures(&text);
        if figures.is_empty() {
            let expected = "lines of --metrics-brief";
            return Err(not_understood("what stress-ng printed", expected, &text));
        }
        Ok(figures)
    }
}

/// The lines of `--metrics-brief`: name, operations, three times in seconds, operations a second of
/// real time, and of processor time.
fn figures(text: &str) -> Vec<Figure> {
    let line = |line: &str| {
        let (_, rest) = line.split_once("] ")?;
        let words: Vec<&str> = rest.split_whitespace().collect();
        let [name, operations, real, user, system, rate, _, ..] = words.as_slice() else {
            return None;
        };
        for number in [operations, real, user, system] {
            number.parse::<f64>().ok()?;
        }
        let rate: f64 = rate.parse().ok()?;
        rate.is_finite().then(|| Figure::new(format!("{name} operations"), rate, "/s"))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// stress-ng 0.15.06 of Debian 12.
    const RECORDED: &str = "\
stress-ng: info:  [21137] setting to a 2 second run per stressor
stress-ng: info:  [21137] dispatching hogs: 1 cpu, 1 vm
stress-ng: metrc: [21137] stressor       bogo ops real time  usr time  sys time   bogo ops/s     bogo ops/s
stress-ng: metrc: [21137]                           (secs)    (secs)    (secs)   (real time) (usr+sys time)
stress-ng: metrc: [21137] cpu                1548      2.00      0.96      0.00       773.84        1615.94
stress-ng: metrc: [21137] vm                21164      2.05      0.79      0.22     10301.54       20804.07
stress-ng: info:  [21137] successful run completed in 2.06s
";

    #[test]
    fn recorded_metrics_are_read() {
        let told: Vec<(String, f64)> =
            figures(RECORDED).into_iter().map(|figure| (figure.name, figure.value)).collect();
        let expected = [("cpu operations".to_owned(), 773.84), ("vm operations".into(), 10301.54)];
        assert_eq!(told, expected);
        assert_eq!(figures("stress-ng: command not found"), []);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text: String) {
            let _ = figures(&text);
        }
    }
}
