//! A set of files: the devices and objectives in them, each with its place.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::objective::{Change, Name, Operation};
use crate::problem::{Problem, Problems, Source};
use crate::read::{read_device, read_device_name, read_objective, read_owner, read_pipeline};
use crate::reader::{Reader, optional};
use crate::validate::validate;
use crate::variables::{self, Variables};
use crate::yaml::{self, Node, Shape, Span};

/// A switch: what to call it and where its agent is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its name in objectives and on the command line.
    pub name: String,
    /// host:port of the agent.
    pub address: String,
    /// The P4Runtime device id; not zero.
    pub device_id: u64,
}

/// A change to one objective of one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectiveChange {
    /// The device's name.
    pub device: String,
    /// What changes.
    pub change: Change,
}

/// The objectives that one application has on one device, or those without an owner.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    /// The device's name.
    pub device: String,
    /// The application.
    pub owner: Option<Name>,
}

/// Something read from a file, and where it stands.
#[derive(Clone, Debug)]
pub struct Located<T> {
    /// What was read.
    pub value: T,
    source: usize,
    node: Node,
}

/// What a set of files says. Objectives are valid one by one and as a set, but
/// for nexts that may be on the device already: see [`Model::check_nexts`].
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// The devices in the order of the files.
    pub devices: Vec<Located<Device>>,
    /// The changes in the order of the files.
    pub objectives: Vec<Located<ObjectiveChange>>,
    /// The pipelines that devices are said to run, by the names of the devices.
    pub pipelines: BTreeMap<String, String>,
    /// Of which devices and owners the files speak, so that what they do not name is not wanted.
    pub scopes: BTreeSet<Scope>,
    sources: Vec<Source>,
}

pub(crate) const DOCUMENT_FIELDS: &[&str] =
    &["device", "owner", "objectives", "devices", variables::KEY];

impl Model {
    /// Reads one file. `name` is what messages call it.
    pub fn parse(name: &str, text: &str) -> Result<Self, Problems> {
        Self::read([(name, text)])
    }

    /// Reads files, given as (name, text), as one set.
    pub fn read<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Problems> {
        let mut model = Self::default();
        let sources = files
            .into_iter()
            .map(|(name, text)| Source::new(name, text));
        model.sources = sources.collect();
        let mut problems = model.read_sources();
        if problems.is_empty() {
            problems = model.check_set();
        }
        Problems::of(problems).map(|()| model)
    }

    fn read_sources(&mut self) -> Vec<Problem> {
        let sources = self.sources.clone();
        let mut readers: Vec<_> = sources.iter().map(Reader::new).collect();
        let mut variables = Variables::default();
        let mut files = Vec::new();
        for (index, (source, reader)) in sources.iter().zip(&mut readers).enumerate() {
            let documents = parse(source, reader);
            for document in &documents {
                variables.define(reader, document, index);
            }
            files.push(documents);
        }
        for (index, (documents, reader)) in files.iter_mut().zip(&mut readers).enumerate() {
            for document in documents {
                variables.expand(reader, document);
                self.read_document(reader, document, index);
            }
        }
        // Where something could not be read, that may have used them.
        if readers.iter().all(|reader| reader.count() == 0) {
            for (index, reader) in readers.iter_mut().enumerate() {
                variables.report_unused(reader, index);
            }
        }
        readers
            .into_iter()
            .flat_map(Reader::into_problems)
            .collect()
    }

    fn read_document(&mut self, reader: &mut Reader<'_>, document: &Node, source: usize) {
        let Some(entries) = reader.map(document, "a document", DOCUMENT_FIELDS) else {
            return;
        };
        if let Some(devices) = optional(&entries, "devices") {
            for node in reader.list(devices, "devices").unwrap_or_default() {
                let pipeline = read_pipeline(reader, node);
                if let Some(value) = read_device(reader, node) {
                    let pipeline = pipeline.map(|pipeline| (value.name.clone(), pipeline));
                    self.pipelines.extend(pipeline);
                    self.devices.push(Located {
                        value,
                        source,
                        node: node.clone(),
                    });
                }
            }
        }
        let Some(objectives) = optional(&entries, "objectives") else {
            for (key, message) in [
                ("device", "a device without `objectives`"),
                ("owner", "an owner without `objectives`"),
            ] {
                if let Some(entry) = document.entry(key) {
                    reader.error(entry.key_span, message, "what should it do?");
                }
            }
            return;
        };
        let at = document
            .entry("objectives")
            .map_or(document.span, |entry| entry.key_span);
        let device = reader.required(&entries, "device", "a document with objectives", at);
        let device = device.and_then(|node| read_device_name(reader, node));
        let owner = optional(&entries, "owner").and_then(|node| read_owner(reader, node, "owner"));
        let items = reader.list(objectives, "objectives").unwrap_or_default();
        if let Some(device) = device
            .clone()
            .filter(|_| owner.is_some() || items.is_empty())
        {
            let owner = owner.clone();
            self.scopes.insert(Scope { device, owner });
        }
        for node in items {
            let before = reader.count();
            let Some(mut change) = read_objective(reader, node) else {
                continue;
            };
            let attributes = &mut change.objective.attributes;
            attributes.owner = attributes.owner.take().or_else(|| owner.clone());
            // A value that could not be read is missing in the objective: what
            // validation would say of that helps nobody.
            if reader.count() == before {
                for fault in validate(&change) {
                    reader.error(node.locate(&fault.path), fault.message, fault.label);
                }
            }
            if let Some(device) = &device {
                self.scopes.insert(Scope {
                    device: device.clone(),
                    owner: change.objective.attributes.owner.clone(),
                });
                let value = ObjectiveChange {
                    device: device.clone(),
                    change,
                };
                self.objectives.push(Located {
                    value,
                    source,
                    node: node.clone(),
                });
            }
        }
    }

    /// Where objective `index` stands, or a field of it by name or path
    /// (`ipv4_dst`, `buckets[1].output`): file, line and column.
    pub fn locate(&self, index: usize, field: Option<&str>) -> Option<(&str, usize, usize)> {
        let problem = self.objective_problem(index, field, "")?;
        let located = self.objectives.get(index)?;
        let (line, column) = problem.position();
        Some((self.sources[located.source].name(), line, column))
    }

    /// An error of the controller or agent about objective `index`, in its place: at `field`, else
    /// at the first field or value of the objective that the message names, else at its name.
    pub fn objective_problem(
        &self,
        index: usize,
        field: Option<&str>,
        message: impl Into<String>,
    ) -> Option<Problem> {
        let located = self.objectives.get(index)?;
        let message = message.into();
        let kind = located.value.change.objective.kind().name();
        let span = match field {
            Some(field) => located.node.locate(field),
            // `next` is a kind and a field of forwards, so that only the kind's own key is left out.
            None => located
                .node
                .named_in(&message, &[kind, "flag", "type", "operation"])
                .unwrap_or_else(|| located.node.locate(kind)),
        };
        let source = &self.sources[located.source];
        Some(source.problem(span, message, "here", None))
    }

    /// An error of the controller about device `index`, in its place.
    pub fn device_problem(
        &self,
        index: usize,
        field: Option<&str>,
        message: impl Into<String>,
    ) -> Option<Problem> {
        let located = self.devices.get(index)?;
        Some(self.problem_at(located, field.unwrap_or("name"), message.into()))
    }

    fn problem_at<T>(&self, located: &Located<T>, path: &str, message: String) -> Problem {
        let span = located.node.locate(path);
        self.sources[located.source].problem(span, message, "here", None)
    }

    /// Refuses references to nexts that neither the files define nor `known`
    /// says to be on the device.
    pub fn check_nexts(&self, known: impl Fn(&str, &Name) -> bool) -> Result<(), Problems> {
        let defined: HashSet<(&str, &Name)> = self
            .objectives
            .iter()
            .filter(|located| located.value.change.operation == Operation::Put)
            .filter(|located| located.value.change.objective.kind() == crate::Kind::Next)
            .map(|located| {
                (
                    located.value.device.as_str(),
                    &located.value.change.objective.name,
                )
            })
            .collect();
        let mut problems = Vec::new();
        for located in &self.objectives {
            let device = located.value.device.as_str();
            for next in located.value.change.objective.nexts() {
                if !defined.contains(&(device, next)) && !known(device, next) {
                    let message = format!("there is no next `{next}` on {device}");
                    let help = "define it in these files, or apply it before".to_owned();
                    let span = self.span_of_next(located, next);
                    let source = &self.sources[located.source];
                    problems.push(source.problem(span, message, "refers to nothing", Some(help)));
                }
            }
        }
        Problems::of(problems)
    }

    fn span_of_next(&self, located: &Located<ObjectiveChange>, next: &Name) -> Span {
        find_reference(&located.node, next.as_str()).unwrap_or(located.node.span)
    }

    /// What is wrong between objectives that are each in order: names used twice,
    /// equal matches, nexts that lead back to themselves.
    fn check_set(&self) -> Vec<Problem> {
        let mut problems = self.duplicate_devices();
        let mut puts = HashMap::new();
        let mut matches = HashMap::new();
        for (index, located) in self.objectives.iter().enumerate() {
            let ObjectiveChange { device, change } = &located.value;
            if change.operation != Operation::Put {
                continue;
            }
            let id = change.objective.id();
            if let Some(first) = puts.insert((device, id.clone()), index) {
                let message = format!("{id} is there twice on {device}");
                problems.push(self.against(index, first, id.kind.name(), message));
            } else if let crate::ObjectiveKind::Forward(forward) = &change.objective.kind {
                let key = (
                    device,
                    forward.flag,
                    &forward.selector,
                    change.objective.priority,
                );
                if let Some(first) = matches.insert(key, index) {
                    let other = &self.objectives[first].value.change.objective.name;
                    let message = format!(
                        "{id} matches the same packets with the same priority as forward {other}"
                    );
                    problems.push(self.against(index, first, "selector", message));
                }
            }
        }
        if problems.is_empty() {
            problems = self.cycles();
        }
        problems
    }

    fn against(&self, index: usize, first: usize, path: &str, message: String) -> Problem {
        let located = &self.objectives[index];
        let place = self
            .locate(first, None)
            .map(|(file, line, _)| format!("the other one is at {file}:{line}"));
        let span = located.node.locate(path);
        self.sources[located.source].problem(span, message, "here", place)
    }

    fn duplicate_devices(&self) -> Vec<Problem> {
        let mut names = HashSet::new();
        let mut ids = HashSet::new();
        let mut problems = Vec::new();
        for located in &self.devices {
            let Device {
                name, device_id, ..
            } = &located.value;
            if !names.insert(name) {
                problems.push(self.problem_at(
                    located,
                    "name",
                    format!("device {name} is there twice"),
                ));
            }
            if !ids.insert(device_id) {
                let message = format!("device_id {device_id} is there twice");
                problems.push(self.problem_at(located, "device_id", message));
            }
        }
        problems
    }

    fn cycles(&self) -> Vec<Problem> {
        let mut targets: Edges<'_> = BTreeMap::new();
        for (index, located) in self.objectives.iter().enumerate() {
            let objective = &located.value.change.objective;
            if objective.kind() == crate::Kind::Next {
                let edges = targets
                    .entry((&located.value.device, &objective.name))
                    .or_default();
                edges.extend(objective.nexts().into_iter().map(|next| (index, next)));
            }
        }
        let mut problems = Vec::new();
        let mut done = HashSet::new();
        for (device, name) in targets.keys().copied().collect::<Vec<_>>() {
            let mut path = vec![name];
            if let Some((index, next)) = find_cycle(&targets, device, name, &mut path, &mut done) {
                let located = &self.objectives[index];
                let chain: Vec<_> = path.iter().map(|name| name.as_str()).collect();
                let message = format!("nexts lead back to themselves: {}", chain.join(" -> "));
                let span = self.span_of_next(located, next);
                problems.push(self.sources[located.source].problem(
                    span,
                    message,
                    "closes the circle",
                    None,
                ));
            }
        }
        problems
    }
}

/// The documents of a file, but for empty ones.
fn parse(source: &Source, reader: &mut Reader<'_>) -> Vec<Node> {
    match yaml::parse(source.text()) {
        Ok(mut documents) => {
            documents.retain(|document| document.shape != Shape::Null);
            documents
        }
        Err(error) => {
            let message = format!("this is not YAML: {}", error.message);
            reader.error(error.span, message, "here");
            Vec::new()
        }
    }
}

/// From a next of a device to those in its buckets, each with the objective that says so.
type Edges<'m> = BTreeMap<(&'m str, &'m Name), Vec<(usize, &'m Name)>>;

/// Follows references depth first; `path` ends up as the circle that was found.
fn find_cycle<'m>(
    edges: &Edges<'m>,
    device: &'m str,
    from: &'m Name,
    path: &mut Vec<&'m Name>,
    done: &mut HashSet<(&'m str, &'m Name)>,
) -> Option<(usize, &'m Name)> {
    if !done.insert((device, from)) {
        return None;
    }
    for (index, next) in edges.get(&(device, from)).into_iter().flatten() {
        let closes = path.iter().position(|name| name == next);
        path.push(next);
        if let Some(start) = closes {
            path.drain(..start);
            return Some((*index, next));
        }
        if let Some(found) = find_cycle(edges, device, next, path, done) {
            return Some(found);
        }
        path.pop();
    }
    None
}

/// The value of a `next:` key below `node` that is `name`, but for the objective's own.
fn find_reference(node: &Node, name: &str) -> Option<Span> {
    match &node.shape {
        Shape::Map(entries) => {
            let forward = entries.iter().any(|entry| entry.key == "forward");
            let bucket = !entries.iter().any(|entry| entry.key == "buckets");
            entries.iter().find_map(|entry| match &entry.value.shape {
                Shape::Scalar(text) if entry.key == "next" && (forward || bucket) => {
                    (text == name).then_some(entry.value.span)
                }
                _ => find_reference(&entry.value, name),
            })
        }
        Shape::List(items) => items.iter().find_map(|item| find_reference(item, name)),
        Shape::Null | Shape::Scalar(_) => None,
    }
}
