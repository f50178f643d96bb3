//! How much memory a long list takes. Alone in its process, since that is what is measured.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect stops there")]

use xenrt_xapi::parse::{Record, records};

const VMS: usize = 20_000;

/// What the process holds at most until now, in bytes (proc(5), `VmHWM`).
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() * 1024
}

/// A list of VMs with the fields that a look at guests asks for.
fn list() -> String {
    let fields = [
        ("name-label", "a guest of a test; it has \"a\" long, odd name"),
        ("power-state", "running"),
        ("memory-actual", "4294967296"),
        ("memory-static-max", "4294967296"),
        ("memory-dynamic-max", "4294967296"),
        ("memory-static-min", "134217728"),
        ("VCPUs-max", "16"),
        ("VCPUs-at-startup", "4"),
        ("domain-type", "hvm"),
        ("resident-on", "9d0c7a4e-1111-4c1e-8000-000000000001"),
        ("affinity", "9d0c7a4e-1111-4c1e-8000-000000000001"),
        (
            "other-config",
            "xenrt-image: debian; base_template_name: Debian; install-methods: cdrom,nfs",
        ),
        ("VBDs", "8b1c0a5e-0000-4000-8000-000000000001; 8b1c0a5e-0000-4000-8000-000000000002"),
    ];
    let mut text = String::with_capacity(VMS * 1024);
    for number in 0..VMS {
        let uuid = uuid::Uuid::from_u128(number as u128);
        text.push_str(&format!("{:<28}: {uuid}\n", "uuid ( RO)"));
        for (name, value) in fields {
            text.push_str(&format!("{name:>22} ( RW): {value}\n"));
        }
        text.push_str("\n\n");
    }
    text
}

#[test]
fn a_list_of_20_000_vms_takes_less_than_100_mb_with_all_its_records_at_once() {
    let text = list();
    let before = peak();
    let all: Vec<Record<'_>> = records(&text).collect::<xenrt_core::Result<_>>().unwrap();
    let taken = peak() - before;
    assert_eq!(all.len(), VMS);
    assert!(
        all.iter().all(|record| record.fields.len() == 14 && record.get("VCPUs-max") == Some("16"))
    );
    // The text, and what was made of it.
    let (text, limit) = (text.len(), 100_000_000);
    assert!(text > 15_000_000, "{text} bytes are no long list");
    assert!(text + taken < limit, "{text} bytes of text took {taken} more");
    // One at a time, which is how lists are read, takes nothing that grows with the list.
    let again = peak();
    let text = list();
    let built = peak();
    assert_eq!(records(&text).filter(|record| record.is_ok()).count(), VMS);
    assert!(peak() - built < 1_000_000, "{again} {built} {}", peak());
}
