//! The page as text: what it must have and what it must never have.

use xenrt_core::report::HtmlReport;

use crate::stream::{ATTACK, everything, many, report};

pub(crate) fn page(make: impl FnOnce(&mut dyn FnMut(&xenrt_core::sequencer::Event))) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut html = HtmlReport::new(folder.path().join("reports").join(HtmlReport::FILE));
    report(&mut html, make);
    std::fs::read_to_string(html.path()).unwrap()
}

#[test]
fn nothing_that_a_test_says_is_html() {
    let page = page(|tell| everything(tell));
    // The page's own: data, chunks of details, and the script.
    let own = page.matches("<script type=\"application/json\"").count() + 1;
    assert_eq!(page.matches("<script").count(), own);
    assert_eq!(page.matches("</script").count(), own);
    assert!(!page.contains("<img"));
    assert!(page.contains("&#60;img src=x"), "the text itself is there, escaped");
    let policy = page.split("script-src 'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    assert!(policy.len() == 32 && !ATTACK.contains(policy));
}

#[test]
fn the_page_asks_the_network_for_nothing() {
    let page = page(|tell| everything(tell));
    for word in ["src=\"http", "href=\"http", "url(", "@import", "fetch(", "<link"] {
        assert!(!page.contains(word), "{word}");
    }
}

#[test]
fn the_essentials_need_no_script() {
    let page = page(|tell| everything(tell));
    let plain = page.split("<script").next().unwrap();
    for text in [
        "5 of 10 tests passed",
        "1 test passed on a retry",
        "cannot reach host beta: connection refused",
        "Kernel panic - not syncing",
        "host beta answers slowly",
        "<noscript>",
        "network.hfx745",
        "2026-01-02 03:04:05 UTC",
    ] {
        assert!(plain.contains(text), "{text}");
    }
}

#[test]
fn a_run_that_was_killed_says_so() {
    let mut events = Vec::new();
    everything(|event| events.push(event.clone()));
    let folder = tempfile::tempdir().unwrap();
    let mut html = HtmlReport::new(folder.path().join("killed.html"));
    xenrt_core::report::replay(&events[..40], &mut html).unwrap();
    let page = std::fs::read_to_string(html.path()).unwrap();
    assert!(page.contains("that did not finish"));
    assert!(page.contains("the run ended before the test did"));
    assert!(page.contains("the run ended before the test began"));
}

#[test]
fn a_page_of_many_tests_stays_small() {
    let page = page(|tell| many(10_000, tell));
    assert!(page.len() < 1_100_000, "{} bytes", page.len());
    assert!(page.contains("9,990 of 10,000 tests passed"));
}

/// Writes pages for a look at them: `XENRT_PAGES=/tmp/pages cargo test ... -- --ignored pages`.
#[test]
#[ignore = "for people: writes pages into the folder XENRT_PAGES"]
fn pages() {
    let folder = std::path::PathBuf::from(std::env::var("XENRT_PAGES").unwrap());
    let write = |name: &str, make: &dyn Fn(&mut dyn FnMut(&xenrt_core::sequencer::Event))| {
        let mut html = HtmlReport::new(folder.join(name));
        let started = std::time::Instant::now();
        report(&mut html, |tell| make(tell));
        let bytes = std::fs::metadata(html.path()).unwrap().len();
        println!("{name}: {bytes} bytes in {:?}", started.elapsed());
    };
    write("everything.html", &|tell| everything(tell));
    write("many.html", &|tell| many(100_000, tell));
    write("small.html", &|tell| {
        let mut run = crate::stream::Stream::begin(
            vec![crate::stream::planned("network.hfx745", "hfx745")],
            tell,
        );
        run.start(0, 0, &["xenhost1"]);
        run.at(42.0);
        let passed = xenrt_core::testcase::Outcome::Passed;
        run.finish(0, passed, xenrt_core::testcase::Marks::default(), 42.0);
        run.end(0);
    });
}
