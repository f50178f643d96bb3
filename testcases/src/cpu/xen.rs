//! Xen's scheduler, asked through `xl`.

use xenrt::prelude::*;

/// Xen's scheduler, asked through dom0's `xl`, whichever toolstack manages the host.
pub(super) struct Scheduler {
    dom0: Arc<dyn Shell>,
    /// Its name: `credit2`.
    name: String,
}

impl Scheduler {
    /// Skips the test where dom0 has no `xl`.
    pub(super) async fn of(host: &dyn Host) -> Result<Self> {
        let dom0 = host.dom0();
        let info = dom0.execute(&Command::new("xl").arg("info").deadline(MINUTE)).await?;
        if !info.status.success() {
            let said = info.error_text();
            let message = format!("dom0 has no xl to tell the scheduler anything: {}", said.trim());
            return Err(TestError::skip(message));
        }
        let text = info.text();
        let name =
            text.lines().find_map(|line| line.strip_prefix("xen_scheduler")?.split_once(':'));
        let name = name.map(|(_, name)| name.trim().to_owned());
        Ok(Self { dom0, name: name.unwrap_or_default() })
    }

    pub(super) fn require_credit(&self) -> Result {
        match self.name.as_str() {
            "credit" | "credit2" => Ok(()),
            other => Err(TestError::skip(format!("Xen's scheduler is {other:?}, not credit2"))),
        }
    }

    /// Has all vCPUs run on these processors alone, in the words of xl(1): `all`, `0`, `0-3`.
    pub(super) async fn pin(&self, domain: u32, processors: &str) -> Result {
        let pin = Command::new("xl").args(["vcpu-pin", &domain.to_string(), "all", processors]);
        self.dom0.run(&pin.deadline(MINUTE)).await?;
        Ok(())
    }

    /// Changes the parameters of a domain (xl(1), sched-credit2).
    pub(super) async fn set(&self, domain: u32, parameters: &[&str]) -> Result {
        let command = Command::new("xl").arg(format!("sched-{}", self.name));
        let command = command.args(["-d", &domain.to_string()]).args(parameters.iter().copied());
        self.dom0.run(&command.deadline(MINUTE)).await?;
        Ok(())
    }

    /// The weight of a domain.
    pub(super) async fn weight(&self, domain: u32) -> Result<u32> {
        let command = Command::new("xl").arg(format!("sched-{}", self.name));
        let text =
            self.dom0.text(&command.args(["-d", &domain.to_string()]).deadline(MINUTE)).await?;
        weight_in(&text).ok_or_else(|| {
            TestError::infrastructure(format!("xl says no weight of domain {domain}: {text:?}"))
        })
    }

    pub(super) async fn vcpus(&self, domain: u32) -> Result<Vec<Vcpu>> {
        let list = Command::new("xl").args(["vcpu-list", &domain.to_string()]).deadline(MINUTE);
        Vcpu::parse(&self.dom0.text(&list).await?)
    }

    /// The processor time of a domain until now, in seconds.
    pub(super) async fn used(&self, domain: u32) -> Result<f64> {
        Ok(seconds(&self.vcpus(domain).await?))
    }

    /// The vCPUs of each domain, looked at once a second as long as `work` goes on.
    pub(super) async fn each_second(
        &self,
        work: impl Future<Output = Result>,
        domains: &[u32],
    ) -> Result<Vec<Vec<Vec<Vcpu>>>> {
        let mut work = std::pin::pin!(work);
        let mut pace = tokio::time::interval(Duration::from_secs(1));
        let mut looks = Vec::new();
        loop {
            tokio::select! {
                done = &mut work => return done.map(|()| looks),
                _ = pace.tick() => {
                    let mut look = Vec::new();
                    for domain in domains {
                        look.push(self.vcpus(*domain).await?);
                    }
                    looks.push(look);
                }
            }
        }
    }
}

/// The processor time of all of them until now.
pub(super) fn seconds(vcpus: &[Vcpu]) -> f64 {
    vcpus.iter().map(|vcpu| vcpu.seconds).sum()
}

const MINUTE: Duration = Duration::from_secs(60);

/// The weight in the last line of `xl sched-credit2 -d`, whose last columns are weight and cap.
fn weight_in(text: &str) -> Option<u32> {
    let mut words = text.lines().last()?.split_whitespace().rev();
    words.nth(1)?.parse().ok()
}

/// A line of `xl vcpu-list`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Vcpu {
    /// Where it runs or ran last; `None` for one that is offline.
    pub(super) processor: Option<u32>,
    seconds: f64,
    /// Where it may run.
    pub(super) affinity: String,
}

impl Vcpu {
    /// Columns are counted from the end: a name may have spaces.
    fn parse(text: &str) -> Result<Vec<Self>> {
        text.lines().skip(1).filter(|line| !line.trim().is_empty()).map(Self::of).collect()
    }

    fn of(line: &str) -> Result<Self> {
        let wrong = || TestError::infrastructure(format!("xl vcpu-list says {line:?}"));
        let words: Vec<&str> = line.split_whitespace().collect();
        let [.., processor, _state, seconds, affinity, "/", _soft] = words.as_slice() else {
            return Err(wrong());
        };
        Ok(Self {
            processor: if *processor == "-" {
                None
            } else {
                Some(processor.parse().map_err(|_| wrong())?)
            },
            seconds: seconds.parse().map_err(|_| wrong())?,
            affinity: (*affinity).to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xl_says_of_weights_is_understood() {
        // xl 4.17.
        let text = "Name                                ID Weight  Cap
Domain-0                             0    256    0
";
        assert_eq!(weight_in(text), Some(256));
        assert_eq!(weight_in("Name  ID Weight  Cap\n"), None);
    }

    #[test]
    fn what_xl_says_of_vcpus_is_understood() {
        // xl 4.17.
        let text = "Name                                ID  VCPU   CPU State   Time(s) Affinity (Hard / Soft)
a b 1                                2     0    1   -b-      35.5  1 / all
a b 1                                2     1    -   --p       0.7  all / all
";
        let vcpu = |processor, seconds, affinity: &str| Vcpu {
            processor,
            seconds,
            affinity: affinity.to_owned(),
        };
        let expected = vec![vcpu(Some(1), 35.5, "1"), vcpu(None, 0.7, "all")];
        assert_eq!(Vcpu::parse(text).unwrap(), expected);
        assert!(Vcpu::parse("header\nxl: no such domain\n").is_err());
    }
}
