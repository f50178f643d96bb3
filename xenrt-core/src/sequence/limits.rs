//! How much of anything a sequence file may ask for.

/// The limits within which a file is read. Whatever a file contains, reading it takes no more memory
/// and time than these allow; what goes beyond one is refused with
/// [`LimitExceeded`](super::DiagnosticKind::LimitExceeded), which names the limit.
///
/// The defaults are far above what any file of the original's collection needs.
///
/// ```
/// use xenrt_core::sequence::{Limits, ReadOptions};
///
/// let options = ReadOptions::new().limits(Limits { steps: 10, ..Limits::default() });
/// let text = r#"<xenrt><testsequence><for iter="I" values="1,2,3,4,5,6,7,8,9,10,11">
///     <testcase id="lifecycle.reboot"/></for></testsequence></xenrt>"#;
/// let error = options.parse(text, "for.seq").unwrap_err();
/// assert!(error.to_string().contains("the limit is `steps`"), "{error}");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a file together with all that it includes. 256 MiB.
    pub bytes: usize,
    /// Elements within elements, and includes within includes. 64; more than 200 is taken as 200,
    /// since each takes room on the stack.
    pub depth: usize,
    /// Attributes of one element. 256.
    pub attributes: usize,
    /// Bytes of one text once its variables are replaced. 1 MiB.
    pub text: usize,
    /// Bytes of all texts that come from replacing variables. 256 MiB.
    pub expanded: usize,
    /// Steps, hosts, guests, rounds of `<for>` and what else a file makes when it is expanded.
    /// 1,000,000.
    pub steps: usize,
    /// Files that are included, directly and by others. 64.
    pub includes: usize,
    /// Problems that are told; there is one more that says how many were left out. 1,000.
    pub problems: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 256 << 20,
            depth: 64,
            attributes: 256,
            text: 1 << 20,
            expanded: 256 << 20,
            steps: 1_000_000,
            includes: 64,
            problems: 1000,
        }
    }
}

impl Limits {
    pub(super) fn depth(&self) -> usize {
        self.depth.min(200)
    }

    /// The longest file, which is at most 4 GiB whatever is said.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.min(u32::MAX as usize - 1)
    }
}
