//! `PostMark`: many small files, as a mail server has them.

use xenrt::prelude::*;

use super::{Batch, Figure, Said, not_understood};

/// Small files made, read, appended to and removed, with `PostMark`.
#[derive(Debug, Clone)]
pub struct Postmark {
    folder: String,
    files: u32,
    transactions: u32,
}

impl Postmark {
    /// In this folder, which must be there. 500 files and 2,000 transactions unless set.
    pub fn new(folder: impl Into<String>) -> Self {
        Self { folder: folder.into(), files: 500, transactions: 2000 }
    }

    /// Sets how many files there are.
    #[must_use]
    pub fn files(mut self, files: u32) -> Self {
        self.files = files.max(1);
        self
    }

    /// Sets how much is done to them.
    #[must_use]
    pub fn transactions(mut self, transactions: u32) -> Self {
        self.transactions = transactions.max(1);
        self
    }
}

impl Batch for Postmark {
    const NAME: &'static str = "postmark";
    const PROGRAMS: &'static [&'static str] = &["postmark"];

    fn command(&self) -> Command {
        let script = format!(
            "set number {}\nset transactions {}\nset location {}\nrun\nquit\n",
            self.files, self.transactions, self.folder
        );
        Command::new("postmark").stdin(script).deadline(Duration::from_secs(1800))
    }

    fn figures(&self, said: &Said) -> Result<Vec<Figure>> {
        // It ends with 0 whatever happens (postmark.c), and says what did.
        if let Some(wrong) =
            said.out.lines().chain(said.err.lines()).find(|line| line.contains("Error:"))
        {
            return Err(TestError::product(format!("postmark found {:?}", wrong.trim())));
        }
        let rate = said.out.lines().find_map(|line| {
            let (_, rate) = line.split_once("seconds of transactions (")?;
            super::batch::number(rate)
        });
        let data = |what: &str| {
            // Files are read, too, and counted above.
            let below = said.out.split_once("Data:")?.1;
            let line = below.lines().find(|line| line.contains(what))?;
            let mut words = line.rsplit_once('(')?.1.split_whitespace();
            let rate: f64 = words.next()?.parse().ok()?;
            let unit = match words.next()? {
                "bytes" => 1.0 / 1048576.0,
                "kilobytes" => 1.0 / 1024.0,
                "megabytes" => 1.0,
                "gigabytes" => 1024.0,
                _ => return None,
            };
            Some(rate * unit)
        };
        match (rate, data("read ("), data("written (")) {
            (Some(rate), Some(read), Some(written)) => Ok(vec![
                Figure::new("transactions", rate, "/s"),
                Figure::new("read", read, "MiB/s"),
                Figure::new("written", written, "MiB/s"),
            ]),
            _ => Err(not_understood("postmark", "its table of times and data", &said.out)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::{recorded, told};
    use super::*;

    /// PostMark 1.51 of Debian 12.
    const RECORDED: &str = "\
Time:
\t1 seconds total
\t1 seconds of transactions (200 per second)

Files:
\t299 created (299 per second)
\t105 read (105 per second)

Data:
\t512.00 kilobytes read (512.00 kilobytes per second)
\t1.78 megabytes written (1.78 megabytes per second)
pm>
";

    #[test]
    fn recorded_output_is_read() {
        let own = Postmark::new("/tmp");
        assert_eq!(
            told(&own.figures(&recorded(RECORDED)).unwrap()),
            ["transactions: 200 /s", "read: 0.5 MiB/s", "written: 1.78 MiB/s"]
        );
        let failed = "Error: cannot open '/tmp/42' for writing\n";
        let error = own.figures(&recorded(failed)).unwrap_err();
        assert!(error.to_string().contains("cannot open"), "{error}");
        assert!(own.figures(&recorded("Data:\nread (much")).is_err());
    }
}
