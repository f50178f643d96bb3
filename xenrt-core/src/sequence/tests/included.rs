//! Files that include others.

use super::expansion::outline;
use super::originals::compat;
use super::*;

/// Files in memory.
#[derive(Debug, Clone, Default)]
struct Memories(BTreeMap<String, String>);

impl Loader for Memories {
    fn load(&self, name: &str, _: usize) -> std::io::Result<LoadedFile> {
        match self.0.get(name) {
            Some(text) => Ok(LoadedFile { name: name.to_owned(), bytes: text.clone().into() }),
            None => Err(std::io::ErrorKind::NotFound.into()),
        }
    }
}

fn memories(files: &[(&str, &str)]) -> Memories {
    Memories(files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
}

#[test]
fn another_file_gives_definitions_and_its_problems_are_told_there() {
    let files = memories(&[
        (
            "lib.seq",
            "<xenrt><include filename='more.seq'/><collection name='c'>\n<testcase id='${A}' grup='x'/></collection><semaphores><S count='2'/></semaphores><testsequence><testcase id='not'/></testsequence></xenrt>",
        ),
        ("more.seq", "<xenrt><variables><A>a</A></variables></xenrt>"),
    ]);
    let text = "<xenrt>\n<include filename='lib.seq'/>\n<testsequence>\n<include collection='c'/>\n</testsequence></xenrt>";
    let error = ReadOptions::new().loader(files.clone()).parse(text, "main.seq").unwrap_err();
    assert!(error.to_string().starts_with("lib.seq:2:21: unknown attribute `grup`"), "{error}");
    let options = compat().loader(files);
    let sequence = options.parse(text, "main.seq").unwrap();
    assert_eq!(outline(&sequence), "a - []\n");
    assert_eq!(sequence.semaphores["s"], 2);
    let Some(Node::Test(test)) = sequence.tests.unwrap().steps.into_iter().next() else { panic!() };
    // Where the file itself includes it.
    assert_eq!(test.place.line, 4);
}

#[test]
fn files_that_include_themselves_are_refused() {
    let files = memories(&[
        ("a.seq", "<xenrt><include filename='b.seq'/></xenrt>"),
        ("b.seq", "<xenrt><include filename='a.seq'/></xenrt>"),
    ]);
    let text = "<xenrt><include filename='a.seq'/></xenrt>";
    let error = ReadOptions::new().loader(files).parse(text, "main.seq").unwrap_err();
    let told = error.to_string();
    assert!(told.contains("break the circle a.seq -> b.seq -> a.seq"), "{told}");
}

#[test]
fn a_dependency_on_nobody_is_told_in_the_file_that_it_is_written_in() {
    let lib = "<xenrt><collection name='c'>\n  <testcase id='t.a' depends='g:nobody'/>\n</collection></xenrt>";
    let text = "<xenrt><include filename='lib.seq'/><testsequence>\n<include collection='c'/></testsequence></xenrt>";
    let options = ReadOptions::new().loader(memories(&[("lib.seq", lib)]));
    let error = options.parse(text, "main.seq").unwrap_err();
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor());
    let mut shown = String::new();
    handler.render_report(&mut shown, &error.into_report()).unwrap();
    insta::assert_snapshot!(shown);
}
