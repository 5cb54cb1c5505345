//! Ports: what links do, and what operators ask for, carried out on the target.

use pointsman_proto::pointsman::agent::v1::{StatePort, StateRecord};

use super::{Agent, State};
use crate::inventory::{Item, Key};
use crate::journal::Ticket;
use crate::ports::{Link, LinkEvent, Origin, Port, PortCommand, PortError, PortSpec, Ports};

impl Agent {
    /// A link has changed. The data plane knows: see [`LivePorts`](super::LivePorts).
    pub fn link_event(&self, event: &LinkEvent) {
        let mut guard = self.exclusive();
        let state = &mut *guard;
        let were_down = state.ports_down();
        let commands = match event {
            LinkEvent::Changed(link) => state.ports.link_changed(link),
            LinkEvent::Gone { index } => state.ports.link_gone(*index),
        };
        let found = commands.iter().find_map(|command| match command {
            PortCommand::Keep { number } => Some(*number),
            _ => None,
        });
        state.carry_out(commands);
        self.ports_seen(&state.ports);
        if state.ports_down() != were_down {
            let objectives = state.ports_turned();
            self.objectives_changed(state, objectives);
        }
        let found = found.and_then(|number| state.ports.by_number(number).ok());
        let Some(record) = found.map(Port::to_saved) else {
            return;
        };
        let ticket = self.port_kept(record);
        let objectives = state.ports_changed();
        self.objectives_changed(state, objectives);
        drop(guard);
        if let Err(error) = ticket.wait() {
            tracing::error!(%error, "the number of a new port is not kept");
        }
    }

    /// Adds a port. `links` are those there are now. Returns its number.
    pub fn add_port(&self, spec: PortSpec, links: &[Link]) -> Result<(u32, Ticket), PortError> {
        let mut guard = self.exclusive();
        let state = &mut *guard;
        let number = state.ports.add(spec, Origin::Requested)?;
        state.live_ports.detached(number);
        for link in links {
            let commands = state.ports.link_changed(link);
            state.carry_out(commands);
        }
        self.ports_seen(&state.ports);
        let port = state.ports.by_number(number)?;
        tracing::info!(
            port = number,
            name = port.name,
            interface = port.interface,
            "port added"
        );
        let record = port.to_saved();
        let ticket = self.port_kept(record);
        let objectives = state.ports_changed();
        self.objectives_changed(state, objectives);
        Ok((number, ticket))
    }

    /// Removes a port. Entries that name it stay, and go nowhere.
    pub fn remove_port(&self, number: u32) -> Result<Ticket, PortError> {
        let mut state = self.exclusive();
        let (port, commands) = state.ports.remove(number)?;
        state.carry_out(commands);
        self.inventory.remove(&Key::Port(number));
        tracing::info!(
            port = number,
            name = port.name,
            interface = port.interface,
            "port removed"
        );
        Ok(self.port_kept(StatePort {
            removed: true,
            ..port.to_saved()
        }))
    }

    /// Puts all ports into the inventory as they are now.
    fn ports_seen(&self, ports: &Ports) {
        ports
            .iter()
            .for_each(|port| self.inventory.put(Item::Port(port.into())));
    }

    fn port_kept(&self, port: StatePort) -> Ticket {
        self.journal.append(StateRecord {
            ports: vec![port],
            ..StateRecord::default()
        })
    }
}

impl Port {
    /// As it is kept.
    pub(super) fn to_saved(&self) -> StatePort {
        StatePort {
            number: self.number,
            name: self.name.clone(),
            interface: self.interface.clone(),
            removed: false,
            found: self.origin == Origin::Found,
        }
    }
}

impl State {
    fn carry_out(&mut self, commands: Vec<PortCommand>) {
        let mut queue: std::collections::VecDeque<_> = commands.into();
        while let Some(command) = queue.pop_front() {
            match command {
                PortCommand::Keep { number } => {
                    tracing::info!(port = number, "an interface is a port by its name");
                    self.live_ports.detached(number);
                }
                PortCommand::Attach { number, interface } => {
                    let result = self.switch.target_mut().attach(number, &interface);
                    match &result {
                        Ok(_) => self.live_ports.attached(number, interface.index),
                        Err(_) => self.live_ports.detached(number),
                    }
                    match &result {
                        Ok(attachment) => tracing::info!(
                            port = number,
                            interface = interface.name,
                            xdp = attachment.name(),
                            "port attached"
                        ),
                        Err(error) => tracing::warn!(port = number, %error, "port not attached"),
                    }
                    queue.extend(self.ports.attached(number, result));
                }
                PortCommand::Detach { number } => {
                    self.live_ports.detached(number);
                    self.switch.target_mut().detach(number);
                }
                PortCommand::Turned { number, up } => {
                    tracing::info!(port = number, up, "port state");
                }
            }
        }
    }
}
