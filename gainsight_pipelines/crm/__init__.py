"""The primary CRM: what is asked of it (protocol.py), and how Salesforce and HubSpot answer. Knows no database."""
