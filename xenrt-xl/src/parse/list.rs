//! `xl list -v`: the hypervisor's domains.

use uuid::Uuid;
use xenrt_core::Result;
use xenrt_core::model::{DomainView, Memory, PowerState};

use super::not_understood;

/// The six state flags of `xl list`, in its order: `r`unning, `b`locked, `p`aused, `s`hut down, the
/// reason for that, and `d`ying, with `-` for those that are not set (xl(1), "list"; the letters of
/// the reasons are those of `shutdown_reason_letters` in Xen's tools/xl/xl_list.c).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StateFlags {
    running: bool,
    blocked: bool,
    paused: bool,
    shut_down: bool,
    crashed: bool,
    dying: bool,
}

impl StateFlags {
    fn parse(text: &str) -> Option<Self> {
        let &[running, blocked, paused, shut_down, reason, dying] = text.as_bytes() else {
            return None;
        };
        let is = |byte: u8, letter: u8| match byte {
            b'-' => Some(false),
            own if own == letter => Some(true),
            _ => None,
        };
        let crashed = match reason {
            // Powered off or not shut down; on its way through a reboot, to disk, or to a soft
            // reset; a reason that xl itself does not know.
            b'-' | b'r' | b's' | b'S' | b'?' => false,
            // The guest, or its watchdog, said that it is lost.
            b'c' | b'w' => true,
            _ => return None,
        };
        Some(Self {
            running: is(running, b'r')?,
            blocked: is(blocked, b'b')?,
            paused: is(paused, b'p')?,
            shut_down: is(shut_down, b's')?,
            crashed,
            dying: is(dying, b'd')?,
        })
    }

    /// The power state that they mean. A domain that has shut down and was not removed yet, and
    /// one that is being removed, are Dying; one that has no flag at all is ready to run and waits
    /// for a processor.
    pub(crate) fn power(self) -> PowerState {
        match self {
            Self { dying: true, .. } => PowerState::Dying,
            Self { crashed: true, .. } => PowerState::Crashed,
            Self { shut_down: true, .. } => PowerState::Dying,
            Self { paused: true, .. } => PowerState::Paused,
            _ => PowerState::Running,
        }
    }

    /// Whether the hypervisor is removing it.
    pub(crate) fn dying(self) -> bool {
        self.dying
    }
}

/// One line of `xl list -v`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ListedDomain {
    /// The domain's number.
    pub(crate) domid: u32,
    /// Its name; empty where it has none any more (`(null)`).
    pub(crate) name: String,
    /// Its identity.
    pub(crate) uuid: Uuid,
    /// Its state.
    pub(crate) flags: StateFlags,
    /// vCPUs that are online.
    pub(crate) vcpus: u32,
    /// Memory that it holds.
    pub(crate) memory: Memory,
    /// Processor time that it has used, in seconds.
    pub(crate) cpu_seconds: f64,
}

impl ListedDomain {
    /// As the core shows it.
    pub(crate) fn view(&self) -> DomainView {
        DomainView {
            domid: self.domid,
            name: self.name.clone(),
            uuid: (!self.uuid.is_nil()).then_some(self.uuid),
            power: self.flags.power(),
            vcpus: self.vcpus,
            memory: self.memory,
            cpu_seconds: self.cpu_seconds,
        }
    }
}

/// Understands the output of `xl list -v`.
///
/// Names may hold anything but line ends, and xl pads them to a width that a long one exceeds, so
/// each line is read from its end.
pub(crate) fn domain_list(text: &str) -> Result<Vec<ListedDomain>> {
    let mut lines = text.lines();
    match lines.next() {
        Some(header) if header.starts_with("Name ") && header.contains(" UUID ") => {}
        other => {
            let found = other.unwrap_or("nothing");
            return Err(not_understood("xl list -v", "its heading with Name and UUID", found));
        }
    }
    lines.filter(|line| !line.trim().is_empty()).map(domain).collect()
}

fn domain(line: &str) -> Result<ListedDomain> {
    const EXPECTED: &str =
        "name, ID, memory, vCPUs, state, time, UUID, reason code and security label";
    let wrong = || not_understood("xl list -v", EXPECTED, line);
    let mut rest = line;
    let mut last_word = || -> Option<&str> {
        rest = rest.trim_end();
        let start = rest
            .rfind(char::is_whitespace)
            .map_or(0, |at| at + rest[at..].chars().next().map_or(1, char::len_utf8));
        let word = &rest[start..];
        rest = &rest[..start];
        (!word.is_empty()).then_some(word)
    };
    let _security_label = last_word().ok_or_else(wrong)?;
    let _reason_code = last_word().ok_or_else(wrong)?;
    let uuid = last_word().and_then(|word| word.parse().ok()).ok_or_else(wrong)?;
    let cpu_seconds = last_word().and_then(|word| word.parse().ok()).ok_or_else(wrong)?;
    let flags = last_word().and_then(StateFlags::parse).ok_or_else(wrong)?;
    let vcpus = last_word().and_then(|word| word.parse().ok()).ok_or_else(wrong)?;
    let memory = last_word().and_then(|word| word.parse().ok()).ok_or_else(wrong)?;
    let domid = last_word().and_then(|word| word.parse().ok()).ok_or_else(wrong)?;
    let name = match rest.trim_end() {
        "(null)" => String::new(),
        name => name.to_owned(),
    };
    Ok(ListedDomain { domid, name, uuid, flags, vcpus, memory: Memory::mib(memory), cpu_seconds })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> String {
        let domains = domain_list(text).unwrap();
        let lines = domains.iter().map(|domain| {
            let DomainView { domid, name, uuid, power, vcpus, memory, cpu_seconds } = domain.view();
            let uuid = uuid.map_or("none".to_owned(), |uuid| uuid.to_string()[..8].to_owned());
            format!("{domid} {name:?} {uuid} {power} {vcpus} vCPUs {memory} {cpu_seconds} s")
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn recorded_lists_are_understood() {
        insta::assert_snapshot!(shown(include_str!("../../tests/data/xl-list-v.txt")), @r#"
        0 "Domain-0" none Running 2 vCPUs 1 GiB 153.2 s
        1 "tiny" 3ae0c1a1 Running 1 vCPUs 192 MiB 17.5 s
        2 "debian" e0d745f9 Running 1 vCPUs 256 MiB 35.1 s
        "#);
        insta::assert_snapshot!(shown(include_str!("../../tests/data/xl-list-v-nasty.txt")), @r#"
        0 "Domain-0" none Running 2 vCPUs 1 GiB 205.5 s
        1 "it's a \"guest\" $(x) \\ gross." fdf5a3c0 Paused 1 vCPUs 64 MiB 0 s
        7 "-v" fdf5a3c0 Crashed 1 vCPUs 64 MiB 12.3 s
        "#);
    }

    #[test]
    fn every_combination_of_flags_has_a_state() {
        for (flags, power) in [
            ("r-----", PowerState::Running),
            ("-b----", PowerState::Running),
            ("------", PowerState::Running),
            ("--p---", PowerState::Paused),
            ("-bp---", PowerState::Paused),
            ("--ps--", PowerState::Dying),
            ("---s--", PowerState::Dying),
            ("--psr-", PowerState::Dying),
            ("--pss-", PowerState::Dying),
            ("---sS-", PowerState::Dying),
            ("---sw-", PowerState::Crashed),
            ("---sc-", PowerState::Crashed),
            ("--psc-", PowerState::Crashed),
            ("--pscd", PowerState::Dying),
            ("-----d", PowerState::Dying),
        ] {
            assert_eq!(StateFlags::parse(flags).map(StateFlags::power), Some(power), "{flags}");
        }
        for wrong in ["", "rrrrrr", "r----", "r------", "R-----", "-r----", "---sx-"] {
            assert_eq!(StateFlags::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_zombie_has_no_name_and_noise_is_refused() {
        let head = "Name  ID Mem VCPUs State Time(s) UUID Reason-Code Security Label\n";
        let zombie = "(null)  9  0  1  --ps-d  4.6 3ae0c1a1-5cc8-4beb-b648-2eab78dffecc 0 -\n";
        let domains = domain_list(&format!("{head}{zombie}")).unwrap();
        assert_eq!((domains[0].name.as_str(), domains[0].flags.power()), ("", PowerState::Dying));
        let error = domain_list(&format!("{head}libxl: error: what\n")).unwrap_err().to_string();
        assert!(error.contains("libxl: error: what"), "{error}");
        assert!(domain_list("").is_err());
    }

    proptest! {
        #[test]
        fn any_name_comes_back(name in "[^\\p{C}\\s]([^\\p{C}\\u{85}\\u{2028}\\u{2029}]{0,60}[^\\p{C}\\s])?") {
            prop_assume!(name != "(null)");
            let text = format!(
                "Name ID Mem VCPUs State Time(s) UUID Reason-Code Security Label\n\
                 {name:<40} {:>5} {:>5} {:>5}     {}  {:>8.1} {} {:>8} {:>16}\n",
                7, 64, 1, "-b----", 1.5, Uuid::nil(), "-", "-"
            );
            let domains = domain_list(&text).unwrap();
            prop_assert_eq!(&domains[0].name, &name);
            prop_assert_eq!(domains[0].domid, 7);
        }

        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = domain_list(&text);
            let _ = domain_list(&format!("Name  UUID \n{text}"));
        }
    }
}
