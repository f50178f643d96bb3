//! A double of `xe` (and `xl list -v`) for tests; see `xenrt_xapi::double`.

fn main() -> std::process::ExitCode {
    xenrt_xapi::double::main()
}
