//! The configuration that `xl create` reads, written from a definition.

use std::fmt::Write as _;

use xenrt_core::model::{Boot, CrashAction, GuestKind};

use crate::definition::{DefinedDisk, Definition};

/// `text` as a string of xl.cfg(5).
///
/// The scanner of libxlu takes strings in double quotes with C's escapes; bytes that are not ASCII
/// stand for themselves. Its `\x41` is broken (xl 4.17 refuses every digit), so a control character
/// without an escape of its own cannot be written; the callers let none through.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// `{name}` in a command line: the guest's name, with `-` for each character that would end a word
/// or that a kernel or init script might read as something else.
fn name_for_command_line(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' })
        .collect()
}

/// A disk as xl-disk-configuration(5) has it; `target=` takes the rest of the text, commas and all.
pub(crate) fn disk(disk: &DefinedDisk) -> String {
    let access = if disk.read_only { "ro" } else { "rw" };
    format!("format=raw,vdev={},access={access},target={}", disk.device, disk.path)
}

/// The text of an xl.cfg(5) for `definition`.
pub(crate) fn xl_cfg(definition: &Definition) -> String {
    let mut text = String::from("# Written anew at each start; changes made here are lost.\n");
    let mut line = |key: &str, value: &str| {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{key} = {value}");
    };
    let kind = match definition.kind {
        GuestKind::Pv => "pv",
        GuestKind::Pvh => "pvh",
        GuestKind::Hvm => "hvm",
    };
    line("name", &quoted(&definition.name));
    line("uuid", &quoted(&definition.uuid.to_string()));
    line("type", &quoted(kind));
    match &definition.boot {
        Boot::Kernel { kernel, ramdisk, command_line } => {
            let name = name_for_command_line(&definition.name);
            line("kernel", &quoted(kernel));
            if let Some(ramdisk) = ramdisk {
                line("ramdisk", &quoted(ramdisk));
            }
            line("cmdline", &quoted(&command_line.replace("{name}", &name)));
        }
        Boot::Disk if definition.kind == GuestKind::Hvm => line("boot", &quoted("c")),
        Boot::Disk => line("bootloader", &quoted("pygrub")),
        Boot::Uefi => {
            // xl.cfg(5), "Boot Devices": UEFI is one of the kinds of BIOS.
            line("bios", &quoted("ovmf"));
            line("boot", &quoted("c"));
        }
    }
    line("memory", &definition.memory.as_mib().to_string());
    line("maxmem", &definition.max_memory.as_mib().to_string());
    line("vcpus", &definition.vcpus.to_string());
    line("maxvcpus", &definition.max_vcpus.to_string());
    let list = |items: Vec<String>| format!("[ {} ]", items.join(", "));
    line("disk", &list(definition.disks.iter().map(|own| quoted(&disk(own))).collect()));
    let vif = |mac, network: &str| quoted(&format!("mac={mac},bridge={network}"));
    line("vif", &list(definition.vifs.iter().map(|own| vif(own.mac, &own.network)).collect()));
    if definition.kind == GuestKind::Hvm {
        // The serial port is the only console of it that can be recorded.
        line("serial", &quoted("pty"));
        line("vnc", "0");
        line("nographic", "1");
    }
    line("on_poweroff", &quoted("destroy"));
    line("on_reboot", &quoted("restart"));
    let on_crash = match definition.on_crash {
        CrashAction::Preserve => "preserve",
        CrashAction::Destroy => "destroy",
        CrashAction::Restart => "restart",
    };
    line("on_crash", &quoted(on_crash));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::DefinedVif;
    use proptest::prelude::*;
    use uuid::Uuid;
    use xenrt_core::model::Memory;

    fn definition(name: &str) -> Definition {
        Definition {
            version: 1,
            uuid: Uuid::nil(),
            name: name.to_owned(),
            former_names: Vec::new(),
            kind: GuestKind::Pvh,
            image: Some("tiny".into()),
            boot: Boot::Kernel {
                kernel: "/k".into(),
                ramdisk: Some("/r".into()),
                command_line: "console=hvc0 name={name}".into(),
            },
            memory: Memory::mib(192),
            max_memory: Memory::mib(256),
            vcpus: 1,
            max_vcpus: 2,
            disks: vec![DefinedDisk {
                device: "xvda".into(),
                path: "/disks/a, \"b\".raw".into(),
                read_only: true,
                owned: true,
            }],
            vifs: vec![DefinedVif {
                mac: "00:16:3e:00:00:01".parse().unwrap(),
                network: "xenbr0".into(),
            }],
            address: None,
            on_crash: CrashAction::Preserve,
        }
    }

    #[test]
    fn a_configuration_reads_well() {
        insta::assert_snapshot!(xl_cfg(&definition(r#"it's a "guest" $(x)\"#)));
    }

    #[test]
    fn firmware_reads_the_first_disk() {
        let hvm = Definition { kind: GuestKind::Hvm, ..definition("g") };
        let bios = xl_cfg(&Definition { boot: Boot::Disk, ..hvm.clone() });
        assert!(bios.contains("boot = \"c\"") && !bios.contains("bios"), "{bios}");
        let uefi = xl_cfg(&Definition { boot: Boot::Uefi, ..hvm });
        assert!(uefi.contains("boot = \"c\"") && uefi.contains("bios = \"ovmf\""), "{uefi}");
    }

    #[test]
    fn a_definition_survives_its_file() {
        let definition = definition("größe");
        assert_eq!(Definition::parse(&definition.to_json().unwrap()).unwrap(), definition);
        let newer = definition.to_json().unwrap().replace("\"version\": 1", "\"version\": 2");
        assert!(Definition::parse(&newer).unwrap_err().to_string().contains("version 2"));
    }

    /// What libxlu makes of a quoted string.
    fn unquoted(text: &str) -> Option<String> {
        let inner = text.strip_prefix('"')?.strip_suffix('"')?;
        let mut result = String::new();
        let mut chars = inner.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => result.push(match chars.next()? {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    c @ ('"' | '\\') => c,
                    _ => return None,
                }),
                '"' | '\n' => return None,
                c => result.push(c),
            }
        }
        Some(result)
    }

    proptest! {
        #[test]
        fn any_text_comes_back_from_a_configuration(text: String) {
            prop_assert_eq!(unquoted(&quoted(&text)), Some(text));
        }
    }
}
