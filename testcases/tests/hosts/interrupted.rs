//! A host that goes away in the middle of a test.

use std::sync::Arc;

use tokio::sync::mpsc;
use xenrt::prelude::*;
use xenrt::sequencer::ExitCode;
use xenrt::testcase::Outcome;

use super::lab::{OpenLab, run_hfx745};

/// dom0 reboots while the guest sends: the run ends with a verdict that says so, evidence from the
/// host as it is after the reboot, and nothing left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dom0_reboots() {
    let folder = tempfile::tempdir().unwrap();
    let lab = Arc::new(OpenLab::default());
    let (steps, mut heard) = mpsc::unbounded_channel::<String>();
    let saboteur = tokio::spawn({
        let lab = Arc::clone(&lab);
        async move {
            while let Some(step) = heard.recv().await {
                if step.starts_with("Send small and oversized") {
                    // At once and without a word to anybody, as a crash would.
                    let reboot = "echo 1 >/proc/sys/kernel/sysrq; echo b >/proc/sysrq-trigger";
                    let reboot = Command::shell_line(reboot);
                    return lab.host().dom0().run(&reboot).await.is_err();
                }
            }
            false
        }
    });
    let report = run_hfx745(lab, folder.path(), steps).await;
    assert!(saboteur.await.unwrap(), "dom0 was not rebooted");
    let result = &report.results[0];
    println!("{result:#?}");
    let message = match &result.outcome {
        Outcome::Failed { message, .. } | Outcome::Errored { message, .. } => message,
        other => panic!("{other:?}"),
    };
    assert!(message.contains("host xenhost1 rebooted while the test ran"), "{message}");
    assert!(matches!(report.exit_code, ExitCode::Failed | ExitCode::Errored));
    assert_eq!(result.marks.leaked, [] as [String; 0]);
    let evidence = folder.path().join("tests/000-hfx745");
    let serial = std::fs::read_to_string(evidence.join("lab/xenhost1-serial.log")).unwrap();
    assert!(serial.contains("Xen"), "{serial}");
    let log = std::fs::read_to_string(evidence.join("xenhost1/xl-dmesg.txt")).unwrap();
    assert!(log.contains("(XEN)"), "evidence was collected before the host was back: {log}");
}
