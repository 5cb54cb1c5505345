//! The listing: instructions under the P4 statements that they were made for.
//!
//! ```text
//! table ingress.acl.acl                             leaf_spine/acl.p4:60:5
//!   pack the key
//!      700: r0 = *(u16 *)(r7 +262)        ; ethernet.eth_type
//!   action ingress.acl.drop                         leaf_spine/acl.p4:24:9
//!     P4  mark_to_drop(standard);
//!     IR  mark_to_drop()
//!      760: r0 = 511
//! ```

use pointsman_ebpf::asm::PartKind;
use pointsman_ebpf::inspect::{Block, PartListing};
use pointsman_p4::ir::SourceInfo;

use super::selection::Selection;
use super::source::Sources;

/// Column at which places in the source begin, where the text leaves room.
const SOURCE_COLUMN: usize = 56;

/// The parts, or blocks of them, that are asked for.
pub fn text(parts: &[PartListing], selection: &Selection, sources: &mut Sources) -> String {
    let texts = parts.iter().filter_map(|part| {
        let is_table = part.part.kind == PartKind::Table && selection.has_table(&part.part.name);
        let is_part = is_table || !selection.names_table();
        is_part.then(|| part_text(part, selection, sources))?
    });
    texts.collect::<Vec<_>>().join("\n")
}

fn part_text(part: &PartListing, selection: &Selection, sources: &mut Sources) -> Option<String> {
    let is_declared_there = selection.has_source(&part.part.source);
    let blocks: Vec<&Block> = part
        .blocks
        .iter()
        .filter(|block| match &block.action {
            Some(action) => selection.has_action(action),
            None => !selection.names_action(),
        })
        .filter(|block| is_declared_there || selection.has_source(&block.source))
        .collect();
    if blocks.is_empty() {
        return None;
    }
    let blocks = blocks.iter().map(|block| block_text(block, sources));
    let blocks: String = blocks.collect();
    Some(heading(part, sources) + &blocks)
}

fn heading(listing: &PartListing, sources: &mut Sources) -> String {
    let part = &listing.part;
    let mut title = format!("{} {}", part.kind.word(), part.name);
    if listing.program > 0 {
        title += &format!(", in program {} of the chain", listing.program);
    }
    let head = with_place(&title, &part.source);
    match sources.text(&part.source) {
        line if line.is_empty() => head,
        line => format!("{head}  P4  {line}\n"),
    }
}

fn block_text(block: &Block, sources: &mut Sources) -> String {
    let mut text = String::new();
    match &block.action {
        Some(action) => {
            text += &with_place(&format!("  action {action}"), &block.source);
            let line = sources.text(&block.source);
            if !line.is_empty() {
                text += &format!("    P4  {line}\n");
            }
            text += &format!("    IR  {}\n", block.text);
            if let Some(became) = &block.became {
                text += &format!("    =>  {became}\n");
            }
            if block.instructions == 0 {
                text += "        (no instructions of its own)\n";
            }
        }
        None if block.text.is_empty() => {}
        None => text += &with_place(&format!("  {}", block.text), &block.source),
    }
    for line in &block.lines {
        text += &format!("{line}\n");
    }
    text
}

fn with_place(title: &str, source: &SourceInfo) -> String {
    if source.file.is_empty() {
        return format!("{title}\n");
    }
    format!("{title:SOURCE_COLUMN$} {source}\n")
}
