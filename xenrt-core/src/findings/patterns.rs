//! The patterns.

/// What bad news looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pattern {
    /// What reports call it.
    pub name: &'static str,
    /// Matches the message of a line, behind its time and the name of whoever logged it.
    pub regex: &'static str,
}

const fn pattern(name: &'static str, regex: &'static str) -> Pattern {
    Pattern { name, regex }
}

/// All patterns. A line is an instance of the first one that matches it, so that narrow ones stand
/// before wide ones.
///
/// The messages are those of Linux (`kernel/panic.c`, `kernel/watchdog.c`, `kernel/hung_task.c`,
/// `kernel/rcu/tree_stall.h`, `mm/oom_kill.c`, `arch/x86/mm/fault.c`, `block/blk-core.c`,
/// `fs/*/super.c`) and of Xen (`xen/drivers/char/console.c`, `xen/arch/x86/traps.c`,
/// `xen/common/domain.c`). The original warned of much the same list.
pub const PATTERNS: &[Pattern] = &[
    pattern("Xen panic", r"^Panic on CPU \d+:"),
    pattern("Xen fatal trap", r"^FATAL (?:TRAP|PAGE FAULT)\b"),
    pattern("Xen bug", r"^(?:Xen BUG at |Assertion '.*' failed at )\S+:\d+"),
    pattern("Xen watchdog", r"^Watchdog timer detects that CPU\d+ is stuck"),
    pattern("domain crash", r"^(?:domain_crash called from |Domain \d+ .*crashed on cpu#\d+)"),
    pattern("kernel panic", r"^Kernel panic - not syncing\b"),
    pattern("soft lockup", r"^(?:watchdog: |NMI watchdog: )?BUG: soft lockup - CPU#\d+"),
    pattern(
        "hard lockup",
        r"^(?:watchdog: |NMI watchdog: )?(?:BUG: )?Watchdog (?:CPU:\d+ )?detected hard LOCKUP",
    ),
    pattern("RCU stall", r"^(?:rcu: )?(?:INFO: )?rcu_\w+ (?:self-)?detected (?:expedited )?stall"),
    pattern("hung task", r"^INFO: task .+:\d+ blocked (?:in I/O wait )?for more than \d+ seconds"),
    pattern("general protection fault", r"^(?:traps: .* )?general protection fault\b"),
    pattern("kernel BUG", r"^kernel BUG at \S+:\d+"),
    pattern(
        "Oops",
        r"^(?:Oops(?: - [\w ]+)?|invalid opcode|double fault|stack segment|divide error|Internal error: Oops)[:.].* \[#\d+\]|^BUG: (?:unable to handle|kernel NULL pointer)|^Unable to handle kernel ",
    ),
    pattern("BUG", r"^BUG: "),
    pattern(
        "out of memory",
        r"\binvoked oom-killer:|^(?:Memory cgroup out|Out) of memory(?:: Killed? process|: Kill process| and no killable processes)|^oom-kill:constraint=",
    ),
    pattern("page allocation failure", r"\bpage allocation failure: order:\d+"),
    pattern("segfault", r"^(?:traps: )?\S.*\[\d+\]:? segfault at [0-9a-f]+ ip "),
    // Empty floppy and CD drives of virtual machines say so at every boot.
    pattern(
        "I/O error",
        r"\bI/O error,? (?:on )?dev(?:ice)? (?:xvd|sd|vd|hd|nvme|dm-|md|nbd|loop|td|mmcblk)\w*",
    ),
    pattern(
        "filesystem error",
        r"^EXT[234]-fs error \(|^(?:EXT[234]-fs|XFS|F2FS-fs|BTRFS).*(?:Remounting filesystem read-only|Corruption (?:of in-memory data )?detected|Internal error |metadata I/O error|has been shut down|forced readonly)|^BTRFS(?: error|:? critical)|^Aborting journal on device |^JBD2: .*(?:I/O error|Detected IO errors)",
    ),
    pattern("machine check", r"^(?:mce: )?\[Hardware Error\]: "),
];

#[cfg(test)]
mod tests {
    use crate::findings::scan;

    /// Recorded lines, and what each is.
    const SAMPLES: &[(&str, &str)] = &[
        ("(XEN) [2023-05-04 10:11:12.123] Panic on CPU 0:", "Xen panic"),
        ("(XEN) Panic on CPU 3:", "Xen panic"),
        ("(XEN) FATAL TRAP: vector = 2 (nmi)", "Xen fatal trap"),
        ("(XEN) FATAL PAGE FAULT", "Xen fatal trap"),
        ("(XEN) Xen BUG at mm.c:2382", "Xen bug"),
        ("(XEN) Assertion 'spin_is_locked(&d->lock)' failed at domain.c:512", "Xen bug"),
        ("(XEN) Watchdog timer detects that CPU2 is stuck!", "Xen watchdog"),
        ("(XEN) domain_crash called from p2m-pt.c:563", "domain crash"),
        ("(XEN) Domain 5 (vcpu#0) crashed on cpu#1:", "domain crash"),
        (
            "[    1.204567] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)",
            "kernel panic",
        ),
        ("<0>[   12.3] Kernel panic - not syncing: Fatal exception in interrupt", "kernel panic"),
        (
            "Jan  2 03:04:05 tiny kernel: [   99.000001] Kernel panic - not syncing: Oops - BUG",
            "kernel panic",
        ),
        (
            "[  244.076002] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [kworker/0:1:23]",
            "soft lockup",
        ),
        ("BUG: soft lockup - CPU#1 stuck for 61s! [swapper:0]", "soft lockup"),
        ("[  44.0] NMI watchdog: Watchdog detected hard LOCKUP on cpu 2", "hard lockup"),
        ("[  44.0] watchdog: Watchdog detected hard LOCKUP on cpu 2", "hard lockup"),
        ("[   60.1] rcu: INFO: rcu_sched self-detected stall on CPU", "RCU stall"),
        ("[   60.1] INFO: rcu_preempt detected stalls on CPUs/tasks: { 1}", "RCU stall"),
        ("[  363.5] INFO: task jbd2/xvda1-8:123 blocked for more than 120 seconds.", "hung task"),
        (
            "[   12.0] general protection fault, probably for non-canonical address 0xdead: 0000 [#1] SMP PTI",
            "general protection fault",
        ),
        ("[   12.0] general protection fault: 0000 [#1] SMP", "general protection fault"),
        ("[   12.0] kernel BUG at drivers/block/xen-blkback/blkback.c:1234!", "kernel BUG"),
        ("[   12.0] Oops: 0002 [#1] SMP PTI", "Oops"),
        ("[   12.0] invalid opcode: 0000 [#1] SMP NOPTI", "Oops"),
        ("[   12.0] BUG: unable to handle page fault for address: ffffc90000000000", "Oops"),
        ("[   12.0] BUG: kernel NULL pointer dereference, address: 0000000000000008", "Oops"),
        ("[   12.0] Unable to handle kernel paging request at virtual address ffff8000", "Oops"),
        ("[   12.0] Internal error: Oops: 96000004 [#1] SMP", "Oops"),
        ("[   12.0] BUG: KASAN: use-after-free in xenvif_tx_action+0x1/0x2", "BUG"),
        ("[   12.0] BUG: scheduling while atomic: swapper/0/0/0x00000100", "BUG"),
        ("[   12.0] BUG: Bad page state in process xenwatch  pfn:12345", "BUG"),
        (
            "[  812.1] stress invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE), order=0",
            "out of memory",
        ),
        (
            "[  812.2] Out of memory: Killed process 123 (stress) total-vm:1234kB, anon-rss:1kB",
            "out of memory",
        ),
        (
            "[  812.2] Memory cgroup out of memory: Killed process 123 (stress) total-vm:1kB",
            "out of memory",
        ),
        ("[  812.2] oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null)", "out of memory"),
        (
            "[   77.7] netback: page allocation failure: order:4, mode:0x40dc0",
            "page allocation failure",
        ),
        (
            "[   88.8] xenstored[812]: segfault at 8 ip 000055d0 sp 00007ffd error 4 in xenstored",
            "segfault",
        ),
        (
            "[   99.9] blk_update_request: I/O error, dev xvda, sector 2048 op 0x1:(WRITE)",
            "I/O error",
        ),
        ("[   99.9] I/O error, dev nvme0n1, sector 4096 op 0x0:(READ)", "I/O error"),
        (
            "[   99.9] Buffer I/O error on dev xvdb1, logical block 1, lost async page write",
            "I/O error",
        ),
        ("[   99.9] Buffer I/O error on device dm-3, logical block 0", "I/O error"),
        (
            "[   99.9] EXT4-fs error (device xvda1): ext4_find_entry:1455: inode #2: comm sh: reading directory lblock 0",
            "filesystem error",
        ),
        ("[   99.9] EXT4-fs (xvda1): Remounting filesystem read-only", "filesystem error"),
        (
            "[   99.9] XFS (xvdb): Corruption detected. Unmount and run xfs_repair",
            "filesystem error",
        ),
        ("[   99.9] XFS (xvdb): Internal error xfs_trans_cancel at line 954", "filesystem error"),
        ("[   99.9] BTRFS error (device xvdb): bdev /dev/xvdb errs: wr 1", "filesystem error"),
        ("[   99.9] Aborting journal on device xvda1-8.", "filesystem error"),
        ("[    3.0] mce: [Hardware Error]: Machine check events logged", "machine check"),
    ];

    /// Lines that look like it and are no bad news.
    const NEAR_MISSES: &[&str] = &[
        "[    0.000000] Command line: root=/dev/xvda panic=1 oops=panic softlockup_panic=1 mce=off",
        "[    0.000000] Kernel command line: console=hvc0 panic=1 hung_task_panic=1",
        "(XEN) Command line: placeholder noreboot=0 crashkernel=256M watchdog",
        "(XEN) Brought up 2 CPUs; watchdog disabled",
        "root@tiny:~# dmesg | grep 'Kernel panic - not syncing'",
        "+ grep -c 'BUG: ' /var/log/kern.log",
        "xenrt: looking for Oops: 0002 [#1] in the log",
        "[    0.100000] NMI watchdog: Enabled. Permanently consumes one hw-PMU counter.",
        "[    0.200000] rcu: RCU calculated value of scheduler-enlistment delay is 25 jiffies.",
        "[    0.300000] mce: CPU supports 10 MCE banks",
        "[  363.5] \"echo 0 > /proc/sys/kernel/hung_task_timeout_secs\" disables this message.",
        "[    1.0] EXT4-fs (xvda1): mounted filesystem with ordered data mode. Opts: errors=remount-ro",
        "[    1.0] EXT4-fs (xvda1): re-mounted. Opts: errors=remount-ro. Quota mode: none.",
        "[    1.0] XFS (xvdb): Mounting V5 Filesystem",
        "[    1.0] BTRFS info (device xvdb): disk space caching is enabled",
        "[    1.0] blk_update_request: I/O error, dev fd0, sector 0 op 0x0:(READ) flags 0x0",
        "[    1.0] Buffer I/O error on dev sr0, logical block 0, async page read",
        "[    1.0] vm.panic_on_oom = 0, vm.oom_kill_allocating_task = 0",
        "systemd[1]: Listening on Userspace Out-Of-Memory (OOM) Killer Socket.",
        "[    1.0] Memory cgroup: 12 MiB",
        "Debugging: no BUG found, 0 Oops, 0 segfaults",
        "[    1.0] ACPI BIOS Error (bug): Could not resolve symbol [\\_SB.PCI0], AE_NOT_FOUND",
        "[    1.0] DEBUG: kernel BUG checks are off",
        "Starting Record crash and panic dumps (kdump)...",
        "[    1.0] pstore: Registered efi as persistent store backend for panic messages",
    ];

    #[test]
    fn every_recorded_line_is_found_as_what_it_is() {
        for (line, name) in SAMPLES {
            let found = scan(line);
            let names: Vec<&str> = found.iter().map(|found| found.pattern).collect();
            assert_eq!(names, [*name], "{line}");
        }
        for pattern in super::PATTERNS {
            let has_sample = SAMPLES.iter().any(|(_, name)| *name == pattern.name);
            assert!(has_sample, "{} has no sample", pattern.name);
        }
    }

    #[test]
    fn what_only_looks_like_it_is_not_found() {
        for line in NEAR_MISSES {
            assert_eq!(scan(line), [], "{line}");
        }
    }
}
