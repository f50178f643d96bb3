//! Any bytes as a sequence file, in both modes: parsed, expanded, validated, and all that is said
//! about it. What must hold: no panic, no hang, memory within the limits, and every place inside of
//! the file.

#![no_main]

use std::io;

use libfuzzer_sys::fuzz_target;
use xenrt_core::sequence::{
    Diagnostic, Limits, LoadedFile, Loader, Mode, ReadOptions, Sequence, Severity,
};

/// Every included file is the file itself under two names, so that circles are found.
#[derive(Debug)]
struct Itself(Vec<u8>);

impl Loader for Itself {
    fn load(&self, name: &str, _: usize) -> io::Result<LoadedFile> {
        match name.len() % 3 {
            0 => Err(io::Error::from(io::ErrorKind::NotFound)),
            other => Ok(LoadedFile { name: format!("file-{other}"), bytes: self.0.clone() }),
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits {
        bytes: 1 << 20,
        text: 1 << 14,
        expanded: 1 << 20,
        steps: 2000,
        includes: 8,
        problems: 100,
        ..Limits::default()
    };
    let mut errors = [0; 2];
    for (index, mode) in [Mode::Strict, Mode::Compat].into_iter().enumerate() {
        let options = ReadOptions::new()
            .mode(mode)
            .limits(limits.clone())
            .variable("GIVEN", "given ${A} %B%")
            .loader(Itself(bytes.to_vec()));
        match options.parse_bytes(bytes, "fuzz.seq") {
            Ok(sequence) => whole(&sequence),
            Err(error) => {
                let diagnostics = error.diagnostics();
                errors[index] =
                    diagnostics.iter().filter(|it| it.severity() == Severity::Error).count();
                assert!(errors[index] > 0, "refused without an error");
                diagnostics.iter().for_each(|it| shown(it, bytes));
            }
        }
    }
    assert!(errors[1] == 0 || errors[0] > 0, "strict accepts what compat refuses");
});

fn whole(sequence: &Sequence) {
    let _ = sequence.not_carried_out();
    let _ = sequence.prepare.with_machines(3);
    let _ = sequence.prepare.machines();
    for warning in &sequence.warnings {
        assert_eq!(warning.severity(), Severity::Warning);
        let _ = warning.to_string();
    }
}

fn shown(diagnostic: &Diagnostic, bytes: &[u8]) {
    let _ = diagnostic.to_string();
    let place = diagnostic.place();
    assert!(place.line >= 1 && place.column >= 1);
    if diagnostic.file() == "fuzz.seq"
        && let Ok(text) = std::str::from_utf8(bytes)
        && text.len() <= 1 << 20
    {
        assert!(text.get(place.offset..place.offset + place.length).is_some(), "{place:?}");
    }
}
