"""The primary CRM: its interface (protocol.py) and its implementations for Salesforce and HubSpot. No database."""
