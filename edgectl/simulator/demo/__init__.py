"""The demo: a depot's evening on real Modbus and MQTT, with faults, an event and a report."""
