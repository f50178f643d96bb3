//! Whether the kernel's virtualisation can run a Xen host.

use std::fs;
use std::time::Duration;

use super::config::Accelerator;
use crate::tools::Tools;
use crate::wait::run;

/// KVM when it really works and can nest, the translator otherwise.
///
/// `/dev/kvm` alone says little: in some containers it exists and cannot be opened, in some virtual
/// machines QEMU dies at the first register it sets. So a machine without a disk is run, and has to
/// come to a clean end.
pub(crate) async fn best_accelerator(tools: &Tools) -> Accelerator {
    if nesting() && kvm_runs(tools).await { Accelerator::Kvm } else { Accelerator::Tcg }
}

/// Xen inside needs the processor's virtualisation for its own PVH guests.
fn nesting() -> bool {
    ["kvm_intel", "kvm_amd"].iter().any(|module| {
        fs::read_to_string(format!("/sys/module/{module}/parameters/nested"))
            .is_ok_and(|nested| matches!(nested.trim(), "Y" | "1"))
    })
}

async fn kvm_runs(tools: &Tools) -> bool {
    // The BIOS finds nothing to boot and reboots, which -no-reboot makes a clean end.
    let arguments = [
        "-accel",
        "kvm",
        "-cpu",
        "host",
        "-m",
        "64",
        "-display",
        "none",
        "-nodefaults",
        "-no-reboot",
        "-boot",
        "reboot-timeout=1",
    ];
    match run(&tools.qemu, &arguments, Duration::from_secs(15)).await {
        Ok(finished) => finished.success,
        Err(error) => {
            tracing::debug!(target: "xenrt_lab", %error, "KVM does not work");
            false
        }
    }
}
