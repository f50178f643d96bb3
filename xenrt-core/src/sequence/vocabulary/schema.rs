//! Schemas for editors, written from the vocabulary.

/// XML Schema of sequence files.
pub fn xsd() -> String {
    String::new()
}

/// JSON Schema of a description of `<prepare>`.
pub fn json_schema() -> String {
    String::new()
}
