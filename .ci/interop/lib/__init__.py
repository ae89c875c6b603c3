"""What the interoperability checks share: servers, wire clients, mail, harness."""
