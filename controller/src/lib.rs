//! The replicated controller: mastership and flow objectives.
