"""The sandbox: local Gainsight, Salesforce and HubSpot servers with made-up data, for the demo and for tests."""
