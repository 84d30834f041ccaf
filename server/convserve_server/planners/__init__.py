"""Child processes that plan and import what would hold the front's loop up."""
