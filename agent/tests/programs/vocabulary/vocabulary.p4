// SPDX-License-Identifier: Apache-2.0
//
// vocabulary: a pipeline that can do whatever flow objectives have words for. It is for tests, and
// written to be complete and not to be fast.
//
//   filter  what comes in by a port; it may note something of a packet, or tag it
//   acl     rules over every field that there is a criterion for
//   tags    VLAN tags and labels come and go
//   rewrite fields are set
//   next    where the packet goes; what no rule sends anywhere is dropped
//
// The queue of a packet is its priority (0 to 7). Behind it the next switch can tell, too: a tagged
// packet has the number as the priority of its tag.

#include <core.p4>
#include <v1model.p4>

#include "headers.p4"
#include "parser.p4"
#include "acl.p4"
#include "next.p4"

control VocabularyIngress(inout headers_t hdr,
                          inout metadata_t meta,
                          inout standard_metadata_t std) {
    Filtering() filtering;
    Acl()       acl;
    Tags()      tags;
    Rewrite()   rewrite;
    Next()      next;

    apply {
        mark_to_drop(std);
        filtering.apply(hdr, meta, std);
        if (meta.admitted == 1) {
            acl.apply(hdr, meta, std);
            if (meta.next_id != 0) {
                tags.apply(hdr, meta);
                rewrite.apply(hdr, meta, std);
                next.apply(hdr, meta, std);
            }
        }
    }
}

control VocabularyEgress(inout headers_t hdr,
                         inout metadata_t meta,
                         inout standard_metadata_t std) {
    apply {
        if (meta.has_queue == 1 && hdr.vlan.isValid()) {
            hdr.vlan.priority = meta.queue;
        }
    }
}

@pkginfo(name="vocabulary")
@pkginfo(version="1.0.0")
V1Switch(VocabularyParser(),
         VocabularyVerifyChecksum(),
         VocabularyIngress(),
         VocabularyEgress(),
         VocabularyComputeChecksum(),
         VocabularyDeparser()) main;
