//! Paths through the fabric.

use pointsman_proto::pointsman::controller::v1 as pb;
use serde::Serialize;

use super::fabric::port_name;
use crate::words;

/// The shortest paths between two places.
#[derive(Debug, Serialize)]
pub struct PathsView {
    /// Links on each.
    pub length: u32,
    pub paths: Vec<Vec<HopView>>,
    /// There are more.
    pub more: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// A device on a path.
#[derive(Debug, Serialize)]
pub struct HopView {
    pub device: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_port: Option<u32>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub in_port_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out_port: Option<u32>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub out_port_name: String,
}

impl From<pb::GetPathsResponse> for PathsView {
    fn from(answer: pb::GetPathsResponse) -> Self {
        let some = |port| Some(port).filter(|port| *port != 0);
        let paths = answer.paths.into_iter().map(|path| {
            let hops = path.hops.into_iter().map(|hop| HopView {
                device: hop.device,
                in_port: some(hop.in_port),
                in_port_name: hop.in_port_name,
                out_port: some(hop.out_port),
                out_port_name: hop.out_port_name,
            });
            hops.collect()
        });
        Self {
            length: answer.length,
            paths: paths.collect(),
            more: answer.more,
            reason: answer.reason,
        }
    }
}

/// Paths for people, one a line.
pub fn text(view: &PathsView) -> String {
    let mut text = String::new();
    for path in &view.paths {
        let hops = path.iter().map(|hop| {
            let port = |port: Option<u32>, name: &str| port.map(|port| port_name(port, name));
            let words = [
                port(hop.in_port, &hop.in_port_name),
                Some(hop.device.clone()),
                port(hop.out_port, &hop.out_port_name),
            ];
            words.into_iter().flatten().collect::<Vec<_>>().join(" ")
        });
        text += &hops.collect::<Vec<_>>().join(" -> ");
        text.push('\n');
    }
    if view.more {
        text += "and more: ask for them with --most\n";
    }
    text
}

/// How much was found, for people.
pub fn remark(view: &PathsView) -> String {
    let links = words::count(view.length as usize, "link");
    format!("{} of {links}", words::count(view.paths.len(), "path"))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_path_is_read_from_left_to_right() {
        let hop = |device: &str, in_port, out_port| pb::PathHop {
            device: device.into(),
            in_port,
            out_port,
            out_port_name: if out_port == 49 { "uplink" } else { "" }.into(),
            ..Default::default()
        };
        let view = PathsView::from(pb::GetPathsResponse {
            paths: vec![pb::Path {
                hops: vec![
                    hop("leaf1", 9, 49),
                    hop("spine1", 1, 2),
                    hop("leaf2", 49, 0),
                ],
            }],
            length: 2,
            more: true,
            reason: String::new(),
        });
        expect![[r#"
            9 leaf1 uplink -> 1 spine1 2 -> 49 leaf2
            and more: ask for them with --most
        "#]]
        .assert_eq(&text(&view));
        assert_eq!(remark(&view), "1 path of 2 links");
    }
}
