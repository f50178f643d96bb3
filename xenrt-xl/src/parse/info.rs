//! `xl info`.

use std::collections::BTreeMap;

use xenrt_core::model::{HostInfo, Memory};
use xenrt_core::{Error, Result};

use super::not_understood;

/// What `xl info` says: one `key : value` a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct XlInfo {
    fields: BTreeMap<String, String>,
}

impl XlInfo {
    /// Understands the output of `xl info`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut fields = BTreeMap::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let (key, value) = line
                .split_once(':')
                .ok_or_else(|| not_understood("xl info", "lines with `key : value`", line))?;
            fields.insert(key.trim().to_owned(), value.trim().to_owned());
        }
        Ok(Self { fields })
    }

    /// The value of one line.
    pub(crate) fn get(&self, key: &str) -> Result<&str> {
        self.fields.get(key).map(String::as_str).ok_or_else(|| Error::UnexpectedOutput {
            what: "xl info".to_owned(),
            expected: format!("a line with {key}"),
            found: self.fields.keys().cloned().collect::<Vec<_>>().join(", "),
        })
    }

    fn number<T: std::str::FromStr>(&self, key: &str) -> Result<T> {
        let value = self.get(key)?;
        value.parse().map_err(|_| not_understood("xl info", &format!("a number for {key}"), value))
    }

    /// Whether a word stands in the list `key`; a list that is not printed has no words.
    pub(crate) fn lists(&self, key: &str, word: &str) -> bool {
        self.fields.get(key).is_some_and(|list| list.split_whitespace().any(|own| own == word))
    }

    /// Whether guests with hardware virtualisation can run (`virt_caps`, and for versions of xl
    /// that do not print it, `xen_caps`).
    pub(crate) fn has_hvm(&self) -> bool {
        self.lists("virt_caps", "hvm")
            || self
                .fields
                .get("xen_caps")
                .is_some_and(|caps| caps.split_whitespace().any(|cap| cap.starts_with("hvm-")))
    }

    /// As the core shows it.
    pub(crate) fn host_info(&self) -> Result<HostInfo> {
        Ok(HostInfo {
            hostname: self.get("host")?.to_owned(),
            hypervisor: format!("Xen {}", self.get("xen_version")?),
            kernel: self.get("release")?.to_owned(),
            cpus: self.number("nr_cpus")?,
            memory: Memory::mib(self.number("total_memory")?),
            free_memory: Memory::mib(self.number("free_memory")?),
            capabilities: self.get("xen_caps")?.split_whitespace().map(str::to_owned).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_recorded_answer_is_understood() {
        let info = XlInfo::parse(include_str!("../../tests/data/xl-info.txt")).unwrap();
        assert!(info.has_hvm() && info.lists("virt_caps", "hap"));
        assert!(!info.lists("virt_caps", "shadow"), "Debian's Xen has no shadow paging");
        insta::assert_debug_snapshot!(info.host_info().unwrap(), @r#"
        HostInfo {
            hostname: "xenhost1",
            hypervisor: "Xen 4.17.7",
            kernel: "6.1.0-56-amd64",
            cpus: 2,
            memory: Memory(
                3220176896,
            ),
            free_memory: Memory(
                1642070016,
            ),
            capabilities: [
                "xen-3.0-x86_64",
                "hvm-3.0-x86_32",
                "hvm-3.0-x86_32p",
                "hvm-3.0-x86_64",
            ],
        }
        "#);
    }

    #[test]
    fn a_line_without_a_value_and_a_missing_key_are_refused() {
        let error = XlInfo::parse("host : a\nnonsense\n").unwrap_err().to_string();
        assert!(error.contains("nonsense"), "{error}");
        let error = XlInfo::parse("host : a\n").unwrap().host_info().unwrap_err().to_string();
        assert!(error.contains("xen_version"), "{error}");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            if let Ok(info) = XlInfo::parse(&text) {
                let _ = info.host_info();
            }
        }
    }
}
