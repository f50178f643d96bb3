//! Schemas for editors, written from the vocabulary, so that they know every word that the parser
//! knows and no other.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::{Content, Kind, Word};
use crate::sequence::syntax::{Meaning, keys};
use crate::sequence::{ProductType, StorageType};

/// What a value with a variable in it looks like: which value it is going to be, no schema knows.
const WITH_VARIABLE: &str = r"[\s\S]*([$]\{|%)[\s\S]*";

/// The XML Schema of sequence files, for editors and other tools. It knows where each element and
/// attribute may stand and what values look like; it does not know names that have to be defined
/// somewhere, nor values with variables in them.
///
/// The project keeps it in `docs/schema/sequence.xsd`.
pub fn xsd() -> String {
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!-- Made from the vocabulary of xenrt_core::sequence; do not edit. -->\n\
         <xs:schema xmlns:xs=\"http://www.w3.org/2001/XMLSchema\">\n",
    );
    element(&mut out, 1, Word::Xenrt, "");
    let mut kinds: Vec<Kind> = Vec::new();
    for word in Word::ALL {
        complex_type(&mut out, *word);
        let of_content = match word.content() {
            Content::Text(kind) | Content::Optional(kind) => Some(kind),
            _ => None,
        };
        for kind in word.attributes().map(|attribute| attribute.kind).chain(of_content) {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
    }
    for kind in kinds {
        simple_type(&mut out, kind);
    }
    let _ = writeln!(
        out,
        "  <xs:simpleType name=\"WithVariable\">\n    <xs:restriction base=\"xs:string\">\n      \
         <xs:pattern value=\"{}\"/>\n    </xs:restriction>\n  </xs:simpleType>\n</xs:schema>",
        escape(WITH_VARIABLE)
    );
    out
}

fn element(out: &mut String, depth: usize, word: Word, occurs: &str) {
    let indent = "  ".repeat(depth);
    let _ = writeln!(
        out,
        "{indent}<xs:element name=\"{}\" type=\"{word:?}\"{occurs}/>",
        word.tag().name()
    );
}

fn complex_type(out: &mut String, word: Word) {
    let mixed = if word.content() == Content::Yaml { " mixed=\"true\"" } else { "" };
    let _ = writeln!(out, "  <xs:complexType name=\"{word:?}\"{mixed}>");
    let _ = writeln!(
        out,
        "    <xs:annotation><xs:documentation>{}</xs:documentation></xs:annotation>",
        escape(word.about())
    );
    let text = match word.content() {
        Content::Text(kind) => Some(type_name(kind)),
        // An empty one is no value of a kind.
        Content::Optional(_) => Some("xs:string".to_owned()),
        Content::Elements | Content::Yaml => {
            let children: Vec<Word> = word.children().collect();
            if !children.is_empty() {
                out.push_str("    <xs:choice minOccurs=\"0\" maxOccurs=\"unbounded\">\n");
                for child in children {
                    element(out, 3, child, "");
                }
                out.push_str("    </xs:choice>\n");
            }
            None
        }
        Content::Any => {
            out.push_str(
                "    <xs:sequence>\n      <xs:any processContents=\"skip\" minOccurs=\"0\" \
                 maxOccurs=\"unbounded\"/>\n    </xs:sequence>\n",
            );
            None
        }
    };
    let indent = if text.is_some() { "        " } else { "    " };
    if let Some(base) = &text {
        let _ = writeln!(out, "    <xs:simpleContent>\n      <xs:extension base=\"{base}\">");
    }
    for attribute in word.attributes() {
        let required = if attribute.required { " use=\"required\"" } else { "" };
        let head = format!(
            "{indent}<xs:attribute name=\"{}\" type=\"{}\"{required}",
            attribute.name.name(),
            type_name(attribute.kind)
        );
        if attribute.modern {
            let _ = writeln!(
                out,
                "{head}>\n{indent}  <xs:annotation><xs:documentation>The original did not have \
                 it.</xs:documentation></xs:annotation>\n{indent}</xs:attribute>"
            );
        } else {
            let _ = writeln!(out, "{head}/>");
        }
    }
    if text.is_some() {
        out.push_str("      </xs:extension>\n    </xs:simpleContent>\n");
    }
    out.push_str("  </xs:complexType>\n");
}

/// The name of the type of a kind of values.
fn type_name(kind: Kind) -> String {
    match kind {
        Kind::Free => "xs:string".into(),
        Kind::Number(least, most) => {
            let sign = |number: i64| number.to_string().replace('-', "minus");
            format!("Number-{}-{}", sign(least), sign(most))
        }
        Kind::Words(words) => format!("Words-{}", words.join("-")),
        other => format!("Value-{other:?}"),
    }
}

fn simple_type(out: &mut String, kind: Kind) {
    if kind == Kind::Free {
        return;
    }
    let pattern = |pattern: &str| {
        format!(
            "<xs:restriction base=\"xs:token\"><xs:pattern value=\"{}\"/></xs:restriction>",
            escape(pattern)
        )
    };
    let words = |words: &mut dyn Iterator<Item = &str>| {
        let all: String = words.map(|word| format!("<xs:enumeration value=\"{word}\"/>")).collect();
        format!("<xs:restriction base=\"xs:token\">{all}</xs:restriction>")
    };
    let restriction = match kind {
        Kind::Free => return,
        Kind::Text => pattern(r"[\s\S]*\S[\s\S]*"),
        Kind::Flag => pattern(r"[yYtT1nNfF0][\s\S]*"),
        Kind::Number(least, most) => format!(
            "<xs:restriction base=\"xs:long\"><xs:minInclusive value=\"{least}\"/>\
             <xs:maxInclusive value=\"{most}\"/></xs:restriction>"
        ),
        Kind::Decimal => "<xs:restriction base=\"xs:double\"/>".to_owned(),
        Kind::Duration => pattern(r"(\d[\d.]*\s*[a-zA-Zµ]+[\s,]*)+|P[0-9A-Z.]+"),
        Kind::Words(all) => words(&mut all.iter().copied()),
        Kind::Storage => words(&mut StorageType::WORDS.iter().map(|(word, _)| *word)),
        Kind::Product => words(&mut ProductType::WORDS.iter().map(|(word, _)| *word)),
        Kind::Abilities => pattern(r"[a-z_]*(\s*,\s*[a-z_]*)*"),
        Kind::Address => pattern(r"[0-9a-fA-F.:]+/\d{1,3}"),
        Kind::Speed => pattern(r"\d+[MG]"),
    };
    let _ = writeln!(
        out,
        "  <xs:simpleType name=\"{}\">\n    <xs:union memberTypes=\"WithVariable\">\n      \
         <xs:simpleType>{restriction}</xs:simpleType>\n    </xs:union>\n  </xs:simpleType>",
        type_name(kind)
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The JSON Schema (draft 2020-12) of the other form of `<prepare>`, a description in YAML or JSON.
///
/// The project keeps it in `docs/schema/prepare.schema.json`.
pub fn json_schema() -> String {
    let mut definitions = Map::new();
    describe(Word::Prepare, &mut definitions);
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": "Made from the vocabulary of xenrt_core::sequence; do not edit.",
        "title": "What a XenRT sequence prepares",
        "$ref": "#/$defs/Prepare",
        "$defs": Value::Object(definitions),
    });
    format!("{schema:#}\n")
}

/// The definition of a word, and of those below it.
fn describe(word: Word, definitions: &mut Map<String, Value>) {
    let name = format!("{word:?}");
    if definitions.contains_key(&name) {
        return;
    }
    definitions.insert(name.clone(), Value::Null);
    let mut properties = Map::new();
    for (key, meaning) in keys(word) {
        let value = match meaning {
            Meaning::Attribute(attribute) => of_kind(word.kind(attribute)),
            Meaning::Text(tag) => match word.child(tag).content() {
                Content::Text(kind) | Content::Optional(kind) => of_kind(kind),
                _ => json!({}),
            },
            Meaning::Description(_) => json!({ "type": "object" }),
            Meaning::Each(tag) => list(word.child(tag), definitions),
            Meaning::Around(tag, inner) => list(word.child(tag).child(inner), definitions),
            Meaning::Counted(..) => json!({
                "oneOf": [
                    { "type": "integer", "minimum": 0, "maximum": 256 },
                    { "type": "array", "items": { "type": "integer", "minimum": 0 } },
                ]
            }),
            Meaning::Use(..) => json!({ "type": ["boolean", "string", "object"] }),
        };
        properties.insert(key, value);
    }
    let definition = json!({
        "type": "object",
        "description": word.about(),
        "properties": Value::Object(properties),
        "additionalProperties": false,
    });
    definitions.insert(name, definition);
}

/// Things of one kind: a list of them, or one alone.
fn list(word: Word, definitions: &mut Map<String, Value>) -> Value {
    describe(word, definitions);
    let one = json!({ "$ref": format!("#/$defs/{word:?}") });
    // Where there is one thing to say, its text is enough.
    let item = json!({ "anyOf": [one, { "type": "string" }] });
    json!({ "anyOf": [{ "type": "array", "items": item.clone() }, item] })
}

fn of_kind(kind: Kind) -> Value {
    match kind {
        Kind::Flag => json!({ "type": ["boolean", "string", "integer"] }),
        Kind::Number(least, most) => json!({
            "anyOf": [
                { "type": "integer", "minimum": least, "maximum": most },
                { "type": "string" },
            ]
        }),
        Kind::Words(words) => {
            json!({ "anyOf": [{ "enum": words }, { "type": "string", "pattern": r"\$\{|%" }] })
        }
        Kind::Storage => {
            let words: Vec<&str> = StorageType::WORDS.iter().map(|(word, _)| *word).collect();
            json!({ "anyOf": [{ "enum": words }, { "type": "string", "pattern": r"\$\{|%" }] })
        }
        _ => json!({ "type": ["string", "number", "boolean", "array", "object"] }),
    }
}
