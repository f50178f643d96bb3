//! The page in a real browser, where there is one.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use xenrt_core::report::HtmlReport;

use crate::stream::{everything, many, report};

/// Chromium, or `None` where it is not installed, which is said.
fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("chromium"));
    let found = found.into_iter().find(|file| file.is_file());
    if found.is_none() {
        // Not a failure: `cargo xtask setup` installs it, and says for what.
        eprintln!("chromium is not installed, so the page is not tried in a browser");
    }
    found
}

/// The document as it stands after the scripts of the page ran.
struct Dom {
    html: String,
    console: String,
}

impl Dom {
    /// The value of an attribute `data-<name>` of the root.
    fn data(&self, name: &str) -> Option<String> {
        let root = self.html.split("<html").nth(1)?.split('>').next()?;
        let value = root.split(&format!("data-{name}=\"")).nth(1)?;
        Some(value.split('"').next()?.to_owned())
    }

    fn assert_healthy(&self) {
        assert_eq!(self.data("error"), None, "{}", self.console);
        assert_eq!(self.data("hacked"), None, "text of a test was run as a script");
        assert!(self.data("ready").is_some(), "the script did not end: {}", self.console);
        for bad in ["Uncaught", "Refused to", "Content Security Policy"] {
            assert!(!self.console.contains(bad), "{}", self.console);
        }
    }
}

fn open(chromium: &Path, file: &Path, address: &str) -> Dom {
    let profile = tempfile::tempdir().unwrap();
    let Output { stdout, stderr, status } = Command::new("timeout")
        .args(["--kill-after=5", "60"])
        .arg(chromium)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--enable-logging=stderr",
            "--window-size=1440,3000",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}{address}", file.display()))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(status.success(), "chromium: {status}");
    let lines = String::from_utf8_lossy(&stderr).into_owned();
    // Chromium has its own troubles in a container; those of the page have this word.
    let console = lines.lines().filter(|line| line.contains("CONSOLE")).collect::<Vec<_>>();
    Dom { html: String::from_utf8(stdout).unwrap(), console: console.join("\n") }
}

#[test]
fn the_page_works_and_takes_nothing_that_a_test_says_for_script() {
    let Some(chromium) = browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut html = HtmlReport::new(folder.path().join("report.html"));
    report(&mut html, |tell| everything(tell));
    let open = |address: &str| {
        let dom = open(&chromium, html.path(), address);
        dom.assert_healthy();
        dom
    };

    let whole = open("");
    assert_eq!(whole.data("rows").as_deref(), Some("10"));
    assert_eq!(whole.data("shown").as_deref(), Some("10"));
    assert!(whole.html.contains("<svg viewBox"), "values are plotted");

    // Filters and order.
    for (address, shown, first) in [
        ("#outcome=failed", "2", "reboots"),
        ("#q=beta+refused", "1", "suspend"),
        ("#group=lifecycle", "3", "reboots"),
        ("#outcome=flaky", "1", "flaky"),
        ("#sort=time", "10", "soak"),
        ("#q=nothing+like+this", "0", ""),
    ] {
        let dom = open(address);
        assert_eq!(dom.data("shown").as_deref(), Some(shown), "{address}");
        assert_eq!(dom.data("first").as_deref(), Some(first), "{address}");
    }

    // Every text of the attack in one view; links lead nowhere but into the folder of the run.
    let attack = open("#test=5");
    assert!(attack.data("open").is_some());
    assert!(!attack.html.contains("href=\"javascript:"));
    assert!(attack.html.contains("href=\"./javascript%3Aalert(1)"));
    let reboots = open("#test=2");
    assert!(reboots.html.contains("href=\"./tests/002-reboots/state%20%231%2050%25.txt\""));
    for text in ["left behind: ", "kernel panic in guest tiny console", "Reboot 7"] {
        assert!(reboots.html.contains(text), "{text}");
    }
}

#[test]
fn a_hundred_thousand_tests_are_drawn_in_seconds() {
    let Some(chromium) = browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut html = HtmlReport::new(folder.path().join("report.html"));
    report(&mut html, |tell| many(100_000, tell));
    let dom = open(&chromium, html.path(), "#outcome=failed");
    dom.assert_healthy();
    assert_eq!(dom.data("rows").as_deref(), Some("100000"));
    assert_eq!(dom.data("shown").as_deref(), Some("100"));
    // Only what is on the screen has elements.
    let drawn: u32 = dom.data("drawn").unwrap().parse().unwrap();
    assert!((1..=100).contains(&drawn), "{drawn} rows");
    // A bound for a hang, not a measurement: it is a second or less on a machine with nothing else
    // to do.
    let ready: u32 = dom.data("ready").unwrap().parse().unwrap();
    assert!(ready < 20_000, "{ready} ms");
}
