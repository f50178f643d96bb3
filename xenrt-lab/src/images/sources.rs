//! Where Debian's packages come from: what this machine's own apt says.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{LabError, Result};
use crate::tools::Tools;
use crate::wait::run;

const ASKING: Duration = Duration::from_secs(60);

/// The package sources of one Debian release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sources {
    /// The release: `bookworm`, `trixie`, ...
    pub(super) release: String,
    /// Lines for a `sources.list`.
    pub(super) lines: Vec<String>,
}

/// One package index that apt knows.
#[derive(Debug, PartialEq, Eq)]
struct Target<'a> {
    label: &'a str,
    codename: &'a str,
    suite: &'a str,
    component: &'a str,
    uri: &'a str,
}

impl Sources {
    /// Asks apt, which reads both of its source formats, and keeps what is Debian's own.
    pub(super) async fn find(tools: &Tools) -> Result<Self> {
        let format = "$(IDENTIFIER)|$(ARCHITECTURE)|$(ORIGIN)|$(LABEL)|$(CODENAME)|$(RELEASE)|\
                      $(COMPONENT)|$(REPO_URI)";
        let listed = run(&tools.apt_get, &["indextargets", "--format", format], ASKING)
            .await?
            .output("apt-get indextargets")?;
        let own = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
        Self::select(&listed, release_of(&own))
            .ok_or_else(|| LabError::AptSources("apt lists none of Debian's own archives".into()))
    }

    /// Picks the sources of `preferred`, the machine's own release, or else of the first release that
    /// apt lists (a derivative with Debian's archive among its sources).
    fn select(listed: &str, preferred: Option<&str>) -> Option<Self> {
        let targets: Vec<Target<'_>> = listed.lines().filter_map(target).collect();
        // A base release has a plain name; `bookworm-security` and `bookworm-updates` add to it.
        let bases = || targets.iter().filter(|target| !target.codename.contains('-'));
        let base = bases()
            .find(|target| Some(target.codename) == preferred)
            .or_else(|| bases().next())?
            .codename;
        let wanted = |target: &&Target<'_>| {
            let addition = target.codename.strip_prefix(base);
            matches!(addition, Some("" | "-security" | "-updates"))
                && matches!(target.label, "Debian" | "Debian-Security")
                && target.component == "main"
        };
        let mut lines: Vec<String> = targets
            .iter()
            .filter(wanted)
            .map(|target| format!("deb {} {} main", target.uri, target.suite))
            .collect();
        lines.dedup();
        Some(Self { release: base.to_owned(), lines })
    }
}

fn target(line: &str) -> Option<Target<'_>> {
    let fields: Vec<&str> = line.split('|').collect();
    let ["Packages", "amd64", "Debian", label, codename, suite, component, uri] = fields[..] else {
        return None;
    };
    Some(Target { label, codename, suite, component, uri })
}

/// `VERSION_CODENAME` of an os-release file.
fn release_of(os_release: &str) -> Option<&str> {
    let line = os_release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    Some(line.trim_matches('"'))
}

/// The newest hypervisor package: its name carries Xen's version.
pub(super) async fn xen_version(tools: &Tools, release: &str) -> Result<String> {
    let arguments = ["search", "--names-only", "^xen-hypervisor-[0-9.]+-amd64$"];
    let found = run(&tools.apt_cache, &arguments, ASKING).await?.output("apt-cache search")?;
    newest_xen(&found).ok_or_else(|| {
        LabError::AptSources(format!("the release {release} has no package xen-hypervisor-*-amd64"))
    })
}

fn newest_xen(found: &str) -> Option<String> {
    found
        .lines()
        .filter_map(|line| {
            let package = line.split_ascii_whitespace().next()?;
            package.strip_prefix("xen-hypervisor-")?.strip_suffix("-amd64")
        })
        .max_by_key(|version| {
            version.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u32>>()
        })
        .map(str::to_owned)
}

/// Each package with the version that apt would install.
///
/// # Errors
///
/// apt does not know one of them.
pub(super) async fn candidates(
    tools: &Tools,
    packages: &[String],
) -> Result<Vec<(String, String)>> {
    let mut arguments = vec!["policy".to_owned()];
    arguments.extend_from_slice(packages);
    let policy = run(&tools.apt_cache, &arguments, ASKING).await?.output("apt-cache policy")?;
    let known = parse_policy(&policy);
    packages
        .iter()
        .map(|package| {
            known.iter().find(|(name, _)| name == package).cloned().ok_or_else(|| {
                LabError::AptSources(format!("apt has no version of the package {package}"))
            })
        })
        .collect()
}

fn parse_policy(policy: &str) -> Vec<(String, String)> {
    let mut known = Vec::new();
    let mut package = None;
    for line in policy.lines() {
        if let Some(version) = line.strip_prefix("  Candidate: ") {
            if let Some(package) = package.take().filter(|_| version != "(none)") {
                known.push((package, version.to_owned()));
            }
        } else if !line.starts_with(' ') {
            package = line.strip_suffix(':').map(str::to_owned);
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &str = "\
Packages|amd64|Debian|Debian|bookworm|bookworm|main|http://mirror/debian/
Packages|amd64|Debian|Debian|bookworm-updates|bookworm-updates|main|http://mirror/debian/
Packages|amd64|Debian|Debian-Security|bookworm-security|bookworm-security|main|http://mirror/sec/
Packages|amd64|Debian|Debian Backports|bookworm-backports|bookworm-backports|main|http://mirror/debian/
Packages|amd64|Debian|Debian|trixie|testing|main|http://mirror/debian/
Packages|amd64|. nodistro|. nodistro|nodistro|nodistro|main|http://other/
Translations|amd64|Debian|Debian|bookworm|bookworm|main|http://mirror/debian/
";

    #[test]
    fn only_debian_and_only_one_release() {
        let sources = Sources::select(LISTED, Some("bookworm")).unwrap();
        assert_eq!(sources.release, "bookworm");
        insta::assert_snapshot!(sources.lines.join("\n"), @r"
        deb http://mirror/debian/ bookworm main
        deb http://mirror/debian/ bookworm-updates main
        deb http://mirror/sec/ bookworm-security main
        ");
        assert_eq!(Sources::select(LISTED, Some("trixie")).unwrap().lines.len(), 1);
        assert_eq!(Sources::select(LISTED, Some("mint")).unwrap().release, "bookworm");
        assert_eq!(Sources::select("", None), None);
    }

    #[test]
    fn the_newest_xen_is_found_by_number() {
        let found = "xen-hypervisor-4.9-amd64 - Xen\nxen-hypervisor-4.17-amd64 - Xen\n";
        assert_eq!(newest_xen(found).as_deref(), Some("4.17"));
        assert_eq!(newest_xen(""), None);
    }

    #[test]
    fn a_package_without_a_candidate_is_unknown() {
        let policy = "iperf:\n  Installed: (none)\n  Candidate: 2.1.8+dfsg-1\n  Version table:\n     2.1.8+dfsg-1 500\nnope:\n  Installed: (none)\n  Candidate: (none)\n  Version table:\n";
        assert_eq!(parse_policy(policy), [("iperf".to_owned(), "2.1.8+dfsg-1".to_owned())]);
    }

    #[test]
    fn the_release_of_this_machine() {
        assert_eq!(release_of("ID=debian\nVERSION_CODENAME=trixie\n"), Some("trixie"));
        assert_eq!(release_of("ID=arch\n"), None);
    }
}
